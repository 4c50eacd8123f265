package config

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestSigningKey: a forward's secret that begins with whsec_ is the key in base64, and judged
// as such; the message never holds it. Any other text is a secret.
func TestSigningKey(t *testing.T) {
	encode := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	for _, tt := range []struct{ value, failed, warned string }{
		{value: encode(24)},
		{value: encode(25)},
		{value: strings.TrimRight(encode(25), "=")},
		{value: "whsec-is any text"},
		{value: "any text that has whsec_ in it"},
		{value: encode(12), warned: "has a key of fewer than 16 bytes"},
		{value: "whsec_this is not base64", failed: "env:S begins with whsec_, but what follows is no key in base64"},
		{value: encode(24) + " ", failed: "no key in base64", warned: "white space"},
		{value: encode(25) + "==", failed: "no key in base64"},
		{value: "whsec_", failed: "no key in base64", warned: "fewer than 16 bytes"},
	} {
		text := minimal + "[[forward]]\nname = 'b'\nurl = 'https://a'\nsecrets = ['env:HOOK', 'env:S']"
		_, report := loadText(text, Options{Env: environ("S", tt.value)})
		var failed, warned string
		for _, p := range report.Errors {
			failed += p.String()
		}
		for _, p := range report.Warnings {
			warned += p.String()
		}
		if tt.failed == "" != (failed == "") || !strings.Contains(failed, tt.failed) || tt.warned == "" != (warned == "") || !strings.Contains(warned, tt.warned) {
			t.Errorf("%q: errors %q, warnings %q", tt.value, failed, warned)
		}
		if failed != "" && (!strings.HasPrefix(failed, "f:7:24: forward[0].secrets[1]: ") || strings.Contains(failed, tt.value+" ")) {
			t.Errorf("%q: %s", tt.value, failed)
		}
	}
}
