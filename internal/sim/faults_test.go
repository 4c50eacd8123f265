package sim

import (
	"math"
	"strings"
	"testing"
)

func TestParseFaults(t *testing.T) {
	for text, want := range map[string]Fault{
		"hang":                                {"hang", "", 1},
		"status-503:0.3":                      {"status-503", "", 0.3},
		"retry-after=year9999:.5":             {"retry-after", "year9999", 0.5},
		"retry-after=17":                      {"retry-after", "17", 1},
		"redirect=http://127.0.0.1:1":         {"redirect", "http://127.0.0.1:1", 1},
		"redirect=http://127.0.0.1:80/x:0.25": {"redirect", "http://127.0.0.1:80/x", 0.25},
		"clock-skew=-2h":                      {"clock-skew", "-2h", 1},
		"error-code=402":                      {"error-code", "402", 1},
		"drip=5ms:1.0":                        {"drip", "5ms", 1},
		"  bare  ":                            {"bare", "", 1},
	} {
		got, err := ParseFaults(text)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%q: %+v %v", text, got, err)
			continue
		}
		if again, err := ParseFault(got[0].String()); err != nil || again != want {
			t.Errorf("%q printed as %q reads %+v %v", text, got[0].String(), again, err)
		}
	}
	if got, err := ParseFaults("hang:0.1, drip ,,bare"); err != nil || len(got) != 3 {
		t.Errorf("list: %+v %v", got, err)
	}
}

func TestParseFaultsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"nope":                 "the faults are api-off, reset",
		"expired-cert":         "--tls-expired",
		"hang=1":               "takes no value",
		"redirect":             "needs a value: redirect=URL",
		"redirect=nowhere":     "URL with a host",
		"retry-after=soon":     "year9999",
		"clock-skew=yesterday": "duration",
		"error-html=200":       "400 to 599",
		"hang:1.5":             "share",
		"hang:0.0":             "share",
		"hang,oops:0.5":        `unknown fault "oops"`,
	} {
		if got, err := ParseFaults(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, error %v, want one with %q", text, got, err, want)
		}
	}
}

// Every name of the catalogue is unique and says what a value looks like.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range faultKinds() {
		if seen[k.name] {
			t.Errorf("%s is there twice", k.name)
		}
		seen[k.name] = true
		if k.form != "" && k.valid == nil {
			t.Errorf("%s takes a value that nobody checks", k.name)
		}
		if k.replace == nil && k.change == nil && k.name != "webhooks-off" {
			t.Errorf("%s does nothing", k.name)
		}
	}
}

func TestShare(t *testing.T) {
	m := New(Config{RequestsPerMinute: -1, Seed: 7, Faults: []Fault{{Name: "status-503", Share: 0.3}}})
	struck := 0
	for range 2000 {
		if get(m, "/health", "").Code == 503 {
			struck++
		}
	}
	if math.Abs(float64(struck)-600) > 100 {
		t.Errorf("struck %d of 2000, want about 600", struck)
	}
}
