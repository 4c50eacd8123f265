package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// examplePath is the file that administrators start from.
const examplePath = "../../configs/moverisd.toml"

var (
	// switchedOff is a line that the example has turned off.
	switchedOff = regexp.MustCompile(`(?m)^#([a-z\[])`)
	keyLine     = regexp.MustCompile(`^#?([a-z_]+) = `)
	headerLine  = regexp.MustCompile(`^#?\[+([a-z]+)\]+$`)
)

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestExampleIsTheDefaults: what the example sets is what a file without these
// keys has.
func TestExampleIsTheDefaults(t *testing.T) {
	opts := Options{AllowUnresolved: true}
	got, report := Load(examplePath, opts)
	if report.Err() != nil || len(report.Warnings) != 0 || len(report.Unchecked) != 2 {
		t.Fatalf("errors %v, warnings %v, unchecked %v", report.Err(), report.Warnings, report.Unchecked)
	}
	want := mustLoad(t, `[[account]]
api_key = "credential:moveris-api-key"
webhook_secrets = [ { label = "mixed-30-v2", secret = "credential:moveris-webhook-mixed-30" } ]
`, opts)
	want.Path = examplePath
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("example differs from the defaults (-default +example):\n%s", diff)
	}
}

// TestExampleSwitchedOn: the lines that are off are valid too, and those that
// have a default show it.
func TestExampleSwitchedOn(t *testing.T) {
	c := mustLoad(t, switchedOff.ReplaceAllString(readExample(t), "$1"), Options{AllowUnresolved: true})
	if len(c.Forwards) != 1 || len(c.Alerts) != 2 || c.API.Listen == "" {
		t.Fatalf("not everything is on: %+v", c)
	}
	bare := mustLoad(t, minimal+"[[forward]]\nname = 'b'\nurl = 'https://a'\nsecrets = ['env:KEY']\n[[alert]]\nurl = 'https://a'\n", Options{})
	if diff := cmp.Diff(bare.Forwards[0].Changes, c.Forwards[0].Changes); diff != "" {
		t.Errorf("changes (-default +example):\n%s", diff)
	}
	if c.Alerts[0].MinLevel != bare.Alerts[0].MinLevel {
		t.Errorf("min_level is %s in the example", c.Alerts[0].MinLevel)
	}
}

// TestExampleIsComplete: each key of the schema is in the example, on or off,
// and each key has a comment before it.
func TestExampleIsComplete(t *testing.T) {
	present := make(map[string]bool)
	var table, previous string
	for line := range strings.Lines(readExample(t)) {
		line = strings.TrimSpace(line)
		if m := headerLine.FindStringSubmatch(line); m != nil {
			table = m[1]
			present[table] = true
		} else if m := keyLine.FindStringSubmatch(line); m != nil {
			present[table+"."+m[1]] = true
			paired := m[1] == "tls_key" || (table == "alert" && m[1] == "url") // explained by the line above
			if !strings.HasPrefix(previous, "# ") && !paired {
				t.Errorf("%s.%s has no comment", table, m[1])
			}
		}
		previous = line
	}
	for _, key := range schemaKeys(t) {
		if !present[key] {
			t.Errorf("%s is not in the example", key)
		}
	}
}

// schemaKeys asks the readers themselves: an unknown key is answered with all
// that are known.
func schemaKeys(t *testing.T) []string {
	t.Helper()
	text := "zzz = 1\n"
	for _, table := range []string{"webhook", "api", "observe", "store", "poll", "retention", "backup", "gateway"} {
		text += "[" + table + "]\nzzz = 1\n"
	}
	text += "[[account]]\nzzz = 1\n[[forward]]\nzzz = 1\n[[alert]]\nzzz = 1\n"
	_, report := loadText(text, Options{})
	var keys []string
	for _, p := range report.Errors {
		_, known, ok := strings.Cut(p.Message, "known here: ")
		if !ok {
			continue
		}
		table := regexp.MustCompile(`(\[0\])?\.?zzz$`).ReplaceAllString(p.Key, "")
		for key := range strings.SplitSeq(known, ", ") {
			keys = append(keys, strings.TrimPrefix(table+"."+key, "."))
		}
	}
	// The tables, the 41 keys of product section 2, its optional ones, and the gateway's.
	if len(keys) < 11+42 {
		t.Fatalf("only %d keys found: %v", len(keys), keys)
	}
	return keys
}
