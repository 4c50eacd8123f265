package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/config"
)

// Every command says what it does, at length, and shows how.
func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return
		}
		if c.Short == "" || c.Runnable() && c.HasParent() && !c.HasSubCommands() && c.Example == "" {
			t.Errorf("%s: Short %q, Example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newApp(strings.NewReader(""), io.Discard, io.Discard, config.OS()).root())
}

// The pages are written, one for each command, and can be read.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	var out, errs strings.Builder
	if code := newApp(strings.NewReader(""), &out, &errs, config.OS()).run(t.Context(), []string{"man", dir}); code != exitDone {
		t.Fatalf("%d: %s", code, errs.String())
	}
	pages, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"moverisd.1", "moverisd-status.1", "moverisd-doctor.1", "moverisd-sessions-show.1", "moverisd.toml.5", "moverisd.8"} {
		if _, err := os.Stat(filepath.Join(dir, want)); err != nil {
			t.Error(err)
		}
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), ".TH") || !strings.Contains(string(text), ".SH NAME") {
			t.Errorf("%s is no manual page", page)
		}
		if groff, err := exec.LookPath("groff"); err == nil {
			if out, err := exec.Command(groff, "-man", "-ww", "-Tutf8", "-z", page).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", page, err, out)
			}
		}
	}
}

// The example of moverisd.toml(5) is the configuration that comes along.
func TestManShowsTheConfiguration(t *testing.T) {
	page, err := os.ReadFile("man/moverisd.toml.5.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../configs/moverisd.toml")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(example)) {
		if line = strings.TrimSpace(line); !strings.Contains(string(page), "    "+line+"\n") && line != "" {
			t.Errorf("moverisd.toml.5.md lacks the line %q of configs/moverisd.toml", line)
		}
	}
}
