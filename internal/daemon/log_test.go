package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/config"
)

// Each line for the journal begins with its priority and has neither time nor level, which the
// journal has itself.
func TestJournalPriorities(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newJournalHandler(&out))
	log.Debug("not shown")
	log.Info("said", "session", "s 1")
	log.With("account", "a").Warn("doubted")
	log.WithGroup("g").Error("went wrong\nin two lines", "err", "x")
	want := "<6>msg=said session=\"s 1\"\n" +
		"<4>msg=doubted account=a\n" +
		"<3>msg=\"went wrong\\nin two lines\" g.err=x\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// The journal's form is chosen only where stderr leads to the journal: with a file or a
// terminal in its place the variable is inherited and means nothing.
func TestLogForm(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for stream, journal := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino):   true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false,
		"":                                     false,
	} {
		env := config.Environment{Lookup: func(name string) (string, bool) {
			return stream, name == "JOURNAL_STREAM" && stream != ""
		}}
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		newLogger(f, env).Info("x")
		line, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if journal && string(line) != "<6>msg=x\n" {
			t.Errorf("to the journal: %q", line)
		}
		if !journal && (!strings.HasPrefix(string(line), "time=") || strings.Count(string(line), "time=") != 1) {
			t.Errorf("to a person: %q", line)
		}
	}
}
