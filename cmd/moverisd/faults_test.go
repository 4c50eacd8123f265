package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The fault suite shows what section 1 of the README promises with real processes, real
// files and strace. It is run by scripts/faults.sh, not by a plain go test.
var (
	faultsOn   = flag.Bool("faults", false, "run the fault suite: minutes, root, strace")
	faultsLong = flag.Bool("faults.long", false, "run the long form of the fault suite")
)

// faultRow is one row of the table: a fault and what shows that it is survived. run returns
// the figures that it measured.
type faultRow struct {
	name string
	run  func(t *testing.T) string
}

func faultRows() []faultRow {
	rows := []faultRow{
		{"ack before fsync", faultAck},
		{"killed at each point", faultKillPoints},
		{"random kill under load", faultRandomKill},
		{"fsync or write EIO", faultEIO},
		{"full disk", faultFull},
		{"power loss", faultPower},
		{"corrupt file", faultCorrupt},
		{"killed restore", faultRestore},
		{"hostile clients", faultHostile},
		{"clock", faultClock},
		{"slow fsync", faultSlow},
		{"retention under load", faultPrune},
		{"consumers", faultConsumers},
	}
	if *faultsLong {
		rows = append(rows, faultRow{"consumers of broken code", faultBrokenConsumers}, faultRow{"soak", faultSoak})
	}
	return rows
}

// TestFaults runs the rows one after another and prints the table.
func TestFaults(t *testing.T) {
	if !*faultsOn {
		t.Skip("run by scripts/faults.sh")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: apt-get install strace")
	}
	t.Cleanup(func() { _ = os.RemoveAll(theBuilds.dir) })
	var table strings.Builder
	passed, failed := 0, 0
	for _, row := range faultRows() {
		var figures string
		ran := false
		start := time.Now()
		ok := t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			ran = true
			figures = row.run(t)
		})
		word := "passed"
		switch {
		case !ran:
			continue
		case ok:
			passed++
		default:
			failed++
			word = "FAILED"
		}
		line := fmt.Sprintf("%-24s %s  %3.0f s  %s\n", row.name, word, time.Since(start).Seconds(), figures)
		fmt.Print(line) // a person waits for it
		table.WriteString(line)
	}
	fmt.Printf("\n%sfaults: %d passed, %d failed\n", table.String(), passed, failed)
}

// either is the figure of the short form or that of the long one.
func either[T any](short, long T) T {
	if *faultsLong {
		return long
	}
	return short
}

// builds keeps the programs that were built, so that each is built once.
type builds struct {
	mu   sync.Mutex
	dir  string
	done map[string]string
}

var theBuilds builds

// program builds the daemon, with files replaced by mutants of themselves: overlay maps a
// path in the repository to pairs of old and new text. It returns the path of the binary.
func program(t *testing.T, name string, overlay map[string][]string) string {
	t.Helper()
	theBuilds.mu.Lock()
	defer theBuilds.mu.Unlock()
	if path := theBuilds.done[name]; path != "" {
		return path
	}
	if theBuilds.dir == "" {
		dir, err := os.MkdirTemp("", "moverisd-faults-")
		must(t, err)
		theBuilds.dir, theBuilds.done = dir, map[string]string{}
	}
	path := filepath.Join(theBuilds.dir, name)
	args := []string{"build", "-trimpath", "-o", path}
	if len(overlay) > 0 {
		args = append(args, "-overlay", writeOverlay(t, overlay))
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	theBuilds.done[name] = path
	return path
}

// writeOverlay makes the file that go build -overlay reads.
func writeOverlay(t *testing.T, overlay map[string][]string) string {
	t.Helper()
	dir := t.TempDir()
	var replace []string
	for path, pairs := range overlay {
		path, err := filepath.Abs(filepath.Join("../..", path))
		must(t, err)
		data, err := os.ReadFile(path)
		must(t, err)
		text := string(data)
		for i := 0; i+1 < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("%s does not hold %q any more: mend the mutant", path, pairs[i])
			}
			text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
		}
		mutant := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		must(t, os.WriteFile(mutant, []byte(text), 0o600))
		replace = append(replace, fmt.Sprintf("%q: %q", path, mutant))
	}
	list := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(list, []byte(`{"Replace": {`+strings.Join(replace, ", ")+`}}`), 0o600))
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
