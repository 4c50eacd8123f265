package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/mattn/go-isatty"
)

// Forms of the output.
const (
	formText   = "text"
	formJSON   = "json"
	formNagios = "nagios"
)

// say writes a message for a person.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, "moverisd: "+format+"\n", args...)
}

// json is true if the output is to be JSON.
func (a *app) json() bool { return a.output == formJSON }

// color is true if the output is a terminal that likes colours (no-color.org).
func (a *app) color() bool {
	if none, _ := a.env.Lookup("NO_COLOR"); none != "" {
		return false
	}
	f, ok := a.out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// writeJSON writes values as JSON, one on each line, at once.
func writeJSON[T any](a *app, values ...T) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return a.write(b.Bytes())
}

func (a *app) write(text []byte) error {
	if _, err := a.out.Write(text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// print writes a line of text.
func (a *app) print(format string, args ...any) error {
	return a.write(fmt.Appendf(nil, format+"\n", args...))
}

// table is text in columns.
type table struct {
	text bytes.Buffer
	tabs *tabwriter.Writer
	none string // shown in an empty cell
}

func newTable(columns ...string) *table {
	t := &table{}
	t.tabs = tabwriter.NewWriter(&t.text, 0, 4, 2, ' ', 0)
	if len(columns) > 0 {
		t.none = "-" // so that scripts can count the columns
		t.row(columns...)
	}
	return t
}

// row adds a row.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if cells[i] = clean(c); c == "" {
			cells[i] = t.none
		}
	}
	fmt.Fprintln(t.tabs, strings.Join(cells, "\t"))
}

// fact adds a name and a value, unless there is none.
func (t *table) fact(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

func (t *table) writeTo(a *app) error {
	t.tabs.Flush() // into memory: it cannot fail
	return a.write(t.text.Bytes())
}

// clean makes a text from outside fit for a terminal: what would move the cursor, colour
// or turn around the text is replaced.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// or is a text that may be null.
func or[T ~string](s *T) string {
	if s == nil {
		return ""
	}
	return string(*s)
}

// complain writes a message that has its own beginning, such as the name of a file.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}
