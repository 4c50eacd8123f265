package main

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryShare is the part of the cgroup's memory that Go may take. The rest is for SQLite,
// whose memory Go does not see, and for the pages of the program.
const memoryShare = 0.8

// limitMemory makes Go collect more often instead of letting the kernel kill the service when
// its memory comes near the limit of its cgroup. GOMEMLIMIT in the environment wins. It is a
// safety net: the daemon's own limits keep it far below.
func limitMemory(lookup func(string) (string, bool), root fs.FS) {
	if _, ok := lookup("GOMEMLIMIT"); ok {
		return
	}
	if most := cgroupMemory(root); most < math.MaxInt64 {
		debug.SetMemoryLimit(int64(float64(most) * memoryShare))
	}
}

// cgroupMemory is the smallest memory limit, in bytes, of the process's cgroup (version 2) and of
// those above it, the largest number if there is none. root is the file system's root.
func cgroupMemory(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(own)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok {
			continue
		}
		for dir := path.Join("sys/fs/cgroup", path.Clean("/"+group)); dir != "sys/fs"; dir = path.Dir(dir) {
			for _, name := range []string{"memory.max", "memory.high"} {
				text, err := fs.ReadFile(root, path.Join(dir, name))
				if err != nil {
					continue // the root cgroup has none
				}
				// "max" is no number, and no limit.
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
					least = min(least, n)
				}
			}
		}
	}
	return least
}
