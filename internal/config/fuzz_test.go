package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzLoad: whatever the file holds, Load does not panic, and gives either a
// Config that survives being written and read, or problems with a place.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile(examplePath)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", minimal, everything, string(example), switchedOff.ReplaceAllString(string(example), "$1"),
		"a.b.c = 1\n[a.b]\nd = 2", "[[a]]\n[a.b]\n[[a.b.c]]\n[[a]]\nb = []", "a = [[[1], {b = {c.d = 2}}]]",
		"account = [{}]\n[[account]]", "[account]\n[[account]]", "poll = {}\npoll.x = 1", "\"\" = 1\n'' = 2", "a = \"\\u0000\"",
		"[[account]]\nwebhook_secrets = [{}, 1, {label = []}]\nroutes = [[]]", "poll.concurrency = -0x1", "\ufeff[poll]", "\r", "[poll\n",
		"[poll]\nconcurrency = 1_0\nbackoff_max = '1d1h1m1s'\n", "x = 1979-05-27T07:32:00Z", "x = nan",
	} {
		f.Add(seed)
	}
	opts := Options{AllowUnresolved: true, Env: environ(), CheckSchedule: func(spec string) error {
		if spec == "x" {
			return errors.New("no schedule")
		}
		return nil
	}}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			t.Skip("would read the machine's files")
		}
		c, report := load("f", []byte(text), opts)
		if (c == nil) != (len(report.Errors) > 0) {
			t.Fatalf("config %v with %d errors", c != nil, len(report.Errors))
		}
		for _, p := range append(report.Errors, report.Warnings...) {
			if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("bad problem %q", p.String())
			}
		}
		if c == nil {
			return
		}
		var out strings.Builder
		if err := c.Redacted(&out); err != nil {
			t.Fatal(err)
		}
		if _, report := load("f", []byte(out.String()), opts); report.Err() != nil {
			t.Errorf("written form does not load: %v\n%s", report.Err(), out.String())
		}
	})
}
