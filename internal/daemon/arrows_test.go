package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/moverisd/moverisd/"

// arrows are the imports that each package may have, and no others.
var arrows = map[string][]string{
	"internal/verdict": {},
	"internal/moveris": {"internal/verdict"},
	"internal/store":   {"internal/verdict"},
	"internal/webhook": {"internal/moveris", "internal/verdict"},
	"internal/poll":    {"internal/moveris", "internal/store", "internal/verdict"},
	"internal/api":     {"internal/store", "internal/status", "internal/poll", "internal/forward", "internal/verdict"},
	"internal/forward": {"internal/store", "internal/verdict"},
	"internal/gateway": {"internal/moveris", "internal/api"},
	"internal/status":  {"internal/verdict", "internal/store"},
	"internal/config":  {},
	"internal/daemon": {"internal/verdict", "internal/moveris", "internal/store", "internal/webhook", "internal/poll",
		"internal/api", "internal/forward", "internal/status", "internal/config"},
	"cmd/moverisd":    {"internal/config", "internal/daemon", "internal/gateway", "internal/status", "internal/api"},
	"internal/sim":    {},
	"cmd/moveris-sim": {"internal/sim"},
}

// homes are the packages that alone may import a dependency.
var homes = map[string]string{
	"github.com/hashicorp/go-retryablehttp": "internal/moveris",
	"github.com/sony/gobreaker/v2":          "internal/moveris",
	"golang.org/x/time/rate":                "internal/moveris",
	"modernc.org/sqlite":                    "internal/store",
	"github.com/robfig/cron/v3":             "internal/daemon",
	"github.com/coreos/go-systemd/v22":      "internal/daemon",
	"github.com/pelletier/go-toml/v2":       "internal/config",
	"github.com/spf13/cobra":                "cmd/moverisd",
	"github.com/cpuguy83/go-md2man/v2":      "cmd/moverisd",
	"github.com/guptarohit/asciigraph":      "cmd/moverisd",
	"github.com/prometheus/client_golang":   "internal/api",
}

// forbidden are standard packages that verdict must not import: it does no I/O, reads no
// clock and draws no random number.
var forbidden = []string{"os", "io", "net", "net/http", "database/sql", "math/rand", "math/rand/v2", "log", "log/slog", "context", "sync", "bufio"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestArrows(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := arrows[name]
		if !ok {
			t.Errorf("%s is no room of the design", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if ours, found := strings.CutPrefix(imp, module); found && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: there is no such arrow", name, ours)
			}
			for dep, home := range homes {
				if (imp == dep || strings.HasPrefix(imp, dep+"/")) && name != home {
					t.Errorf("%s imports %s, which lives in %s alone", name, dep, home)
				}
			}
			if name == "internal/verdict" && slices.Contains(forbidden, imp) {
				t.Errorf("verdict imports %s", imp)
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d rooms were seen", seen)
	}
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}
