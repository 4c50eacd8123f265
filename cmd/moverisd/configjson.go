package main

import (
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/moverisd/moverisd/internal/config"
)

// configJSON is a configuration as JSON shows it: by the keys of the file, a field's name in
// snake case; durations as the file has them, sizes in bytes, secrets as their references.
func configJSON(cfg *config.Config) map[string]any {
	out, _ := plain(reflect.ValueOf(*cfg)).(map[string]any)
	// Tables that repeat are named in the singular in the file; where it lies is no key.
	for _, name := range []string{"account", "forward", "alert"} {
		out[name] = out[name+"s"]
		delete(out, name+"s")
	}
	delete(out, "path")
	return out
}

// plain turns a value of the configuration into maps, lists, strings and numbers.
func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case config.Secret:
		return x.Ref
	case time.Duration:
		return shortDuration(x)
	case fs.FileMode:
		return fmt.Sprintf("%04o", x.Perm())
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			out[snake(v.Type().Field(i).Name)] = plain(v.Field(i))
		}
		return out
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			out = append(out, plain(v.Index(i)))
		}
		return out
	}
	return v.Interface()
}

// shortDuration leaves out the units that Go writes although they are zero.
func shortDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	days := ""
	if n := d / (24 * time.Hour); n > 0 {
		days, d = fmt.Sprintf("%dd", n), d%(24*time.Hour)
	}
	if d == 0 {
		return days
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return days + s
}

// snake writes a field's name as a key: BaseURL is base_url, TLSCert is tls_cert.
func snake(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		ends := i > 0 && unicode.IsLower(runes[i-1])
		begins := i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(r) && (ends || begins) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
