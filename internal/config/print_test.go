package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNoWayToPrint tries every way of printing on a Secret and on the Config
// that holds it.
func TestNoWayToPrint(t *testing.T) {
	text := before("[api]\nlisten = ':1'\ntoken = 'env:KEY'\n[[forward]]\nname = 'f'\nurl = 'https://a'\nsecrets = ['env:KEY']")
	c := mustLoad(t, text, Options{})
	s := c.Accounts[0].APIKey
	var out strings.Builder
	for _, v := range []any{s, &s, c, *c, c.Accounts, []Secret{s}, map[string]Secret{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%U", "%b", "%t", "%e"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	if err := c.Redacted(&out); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&out, s.String(), s.GoString(), cmp.Diff(s, Secret{}), cmp.Diff(c, &Config{}))
	mustNotHold(t, out.String(), keyValue, hookValue)
	if !strings.Contains(out.String(), "env:KEY") {
		t.Error("the reference does not show")
	}
}

// mustNotHold looks for values in the forms that fmt gives to bytes.
func mustNotHold(t *testing.T, out string, values ...string) {
	t.Helper()
	for _, value := range values {
		b := []byte(value)
		head := func(verb string) string { return strings.Trim(fmt.Sprintf(verb, b[:6]), "[]") }
		for _, form := range []string{value, fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), head("%d"), head("%o"), head("%b"), head("%#v")[len("[]byte{"):]} {
			if form = strings.TrimRight(form, "}"); strings.Contains(out, form) {
				t.Errorf("printed as %s", form)
			}
		}
	}
}

func TestSecretMarshals(t *testing.T) {
	s := Secret{Ref: "env:KEY", value: []byte(keyValue), resolved: true}
	text, err := s.MarshalText()
	if err != nil || string(text) != "env:KEY" {
		t.Errorf("text %s, %v", text, err)
	}
	j, err := json.Marshal(s)
	if err != nil || string(j) != `"env:KEY"` {
		t.Errorf("JSON %s, %v", j, err)
	}
	if got := fmt.Sprintf("%s %v %q %#v", s, s, s, s); got != `env:KEY env:KEY "env:KEY" "env:KEY"` {
		t.Errorf("fmt %s", got)
	}
	if got := s.LogValue().String(); got != "env:KEY" {
		t.Errorf("slog %s", got)
	}
}

func TestSecretBytesAreACopy(t *testing.T) {
	s := Secret{Ref: "env:KEY", value: []byte(keyValue), resolved: true}
	clear(s.Bytes())
	if !bytes.Equal(s.Bytes(), []byte(keyValue)) {
		t.Error("a caller changed the secret")
	}
}

func TestSecretEqual(t *testing.T) {
	a := Secret{Ref: "file:/a", value: []byte("1"), resolved: true}
	for _, tt := range []struct {
		other Secret
		want  bool
	}{
		{Secret{Ref: "file:/a", value: []byte("1"), resolved: true}, true},
		{Secret{Ref: "file:/a", value: []byte("2"), resolved: true}, false},
		{Secret{Ref: "file:/b", value: []byte("1"), resolved: true}, false},
		{Secret{Ref: "file:/a"}, false},
	} {
		if got := a.Equal(tt.other); got != tt.want {
			t.Errorf("equal to %s: %v", tt.other.Ref, got)
		}
	}
}
