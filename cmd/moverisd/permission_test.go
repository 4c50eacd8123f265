package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// TestPermission runs the program as somebody who may use nothing: it must not say that the
// daemon is down, for it cannot know.
func TestPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	dir, err := os.MkdirTemp("", "moverisd-permission")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := copyProgram(t, dir)
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.NewReplacer(`"file:`+dir+`/key"`, `"credential:key"`, `"file:`+dir+`/secret"`, `"credential:secret"`).
		Replace(configText(dir, "127.0.0.1:1", "http://127.0.0.1:1"))
	write("moverisd.toml", config, 0o644)
	write("unreadable.toml", config, 0o600)
	ln, err := net.Listen("unix", filepath.Join(dir, "moverisd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "moverisd.sock"), 0o600); err != nil {
		t.Fatal(err)
	}

	run := runner(t, program, dir)
	run(3, "the daemon cannot be asked", "status")
	run(1, "run this as root, or as a member of the group", "expect", "a")
	run(1, "permission denied", "sessions")
	run(3, "config_invalid", "status", "--config", "unreadable.toml")
	run(78, "cannot be read", "sessions", "--config", "unreadable.toml")

	// Now the daemon is certainly down, but its file may not be read.
	ln.Close()
	write("moverisd.db", "", 0o600)
	run(2, "its file cannot be read", "status")
	run(1, "or run this as root or as the user of the service", "sessions")
	write("status.json", `{"level":"ok","as_of":"2026-01-01T00:00:00.000Z","sessions":{"awaiting":17}}`, 0o644)
	run(2, "17 awaiting", "status")
	run(2, "its last sign of life was at 2026-01-01", "status")
}

func copyProgram(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// runner runs the program as nobody and checks its exit code and its words.
func runner(t *testing.T, program, dir string) func(want int, words string, args ...string) {
	return func(want int, words string, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = dir
		cmd.Env = []string{asMain + "=1", "MOVERISD_CONFIG=" + filepath.Join(dir, "moverisd.toml")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != want || !bytes.Contains(out, []byte(words)) {
			t.Errorf("%v: exit code %d, want %d and %q in:\n%s", args, got, want, words, out)
		}
	}
}
