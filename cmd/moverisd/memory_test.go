package main

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestCgroupMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"none":        {fstest.MapFS{}, math.MaxInt64},
		"no limit":    {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n")}, math.MaxInt64},
		"its own":     {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1000\n")}, 1000},
		"high":        {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("1000\n"), "sys/fs/cgroup/a/memory.high": file("900\n")}, 900},
		"one above":   {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1000"), "sys/fs/cgroup/a/memory.max": file("500")}, 500},
		"the root's":  {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("700")}, 700},
		"version 1":   {fstest.MapFS{"proc/self/cgroup": file("4:memory:/a\n"), "sys/fs/cgroup/a/memory.max": file("1")}, math.MaxInt64},
		"no way out":  {fstest.MapFS{"proc/self/cgroup": file("0::/../../x\n"), "sys/fs/cgroup/x/memory.max": file("600")}, 600},
		"not visible": {fstest.MapFS{"proc/self/cgroup": file("0::/gone\n")}, math.MaxInt64},
	} {
		if got := cgroupMemory(c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	root := fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/a\n")}, "sys/fs/cgroup/a/memory.max": {Data: []byte("4000000000\n")}}
	limitMemory(func(string) (string, bool) { return "1GiB", true }, root)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("GOMEMLIMIT was overruled with %d", got)
	}
	limitMemory(func(string) (string, bool) { return "", false }, fstest.MapFS{})
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("without a cgroup the limit is %d", got)
	}
	limitMemory(func(string) (string, bool) { return "", false }, root)
	if got := debug.SetMemoryLimit(-1); got != 3_200_000_000 {
		t.Errorf("the limit is %d", got)
	}
}
