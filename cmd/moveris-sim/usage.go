package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// used is what a process has used, as Linux tells it (proc(5)).
type used struct {
	// CPU is in microseconds; in a report, for each delivery.
	CPU    float64 `json:"cpu_us"`
	Memory float64 `json:"memory_mib"` // resident now
	Peak   float64 `json:"memory_peak_mib"`
	// Written is in bytes, passed to write calls on files and sockets; in a report, for each
	// delivery.
	Written float64 `json:"written_bytes"`
}

// ticksPerSecond is USER_HZ, 100 on every architecture that Go knows.
const ticksPerSecond = 100

func usageOf(pid int) (used, error) {
	var u used
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, fmt.Errorf("measure process %d: %w", pid, err)
	}
	// The name in parentheses may hold anything; user and system time are fields 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("measure process %d: its stat has %d fields", pid, len(fields))
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	u.CPU = (user + system) * 1e6 / ticksPerSecond
	u.Memory = field(dir+"status", "VmRSS:") / 1024
	u.Peak = field(dir+"status", "VmHWM:") / 1024
	u.Written = field(dir+"io", "wchar:")
	return u, nil
}

// field is the number behind a name in a file of lines, 0 if it is not there.
func field(path, name string) float64 {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}

// since turns what has been used in all into what each of n deliveries has used.
func (u *used) since(before used, n int) {
	n = max(n, 1)
	u.CPU = round((u.CPU-before.CPU)/float64(n), 2)
	u.Written = round((u.Written-before.Written)/float64(n), 1)
	u.Memory, u.Peak = round(u.Memory, 1), round(u.Peak, 1)
}
