package config

import (
	"fmt"
	"strconv"
	"strings"
)

// reader reads one file; it collects problems and never stops at one.
type reader struct {
	file   string
	opts   Options
	report *Report
}

// section is one table while it is being read. Each typed method reads one
// key, reports what is wrong with it, and returns its value, or the default
// where the key is absent or wrong. done then reports the keys nobody read.
type section struct {
	*reader
	path   string // dotted path of the table, empty for the root
	node   *node  // nil when the file does not have the table
	known  []string
	failed map[string]bool // keys with a problem, so that no rule builds on them
}

// section opens the table at n; nil stands for a table that is not there.
func (r *reader) section(path string, n *node) *section {
	return &section{reader: r, path: path, node: n, failed: make(map[string]bool)}
}

// get returns nil for an absent key. Every key of a table passes through here.
func (s *section) get(key string) *field {
	s.known = append(s.known, key)
	return s.lookup(key)
}

func (s *section) lookup(key string) *field {
	if s.node == nil {
		return nil
	}
	return s.node.field(key)
}

// has reports whether the key is in the file without a problem so far.
func (s *section) has(key string) bool { return s.lookup(key) != nil && !s.failed[key] }

// sound reports whether rules may compare the values of these keys.
func (s *section) sound(keys ...string) bool {
	for _, key := range keys {
		if s.failed[key] {
			return false
		}
	}
	return true
}

// at is the position of a key's value, of the table if the key is absent, and
// of the start of the file if the table is absent too.
func (s *section) at(key string) position {
	if f := s.lookup(key); f != nil {
		return f.value.at
	}
	if s.node != nil {
		return s.node.at
	}
	return position{1, 1}
}

// problem builds a problem of this section; sub is a key, perhaps with an index.
func (s *section) problem(at position, sub, format string, args ...any) Problem {
	message := fmt.Sprintf(format, args...)
	return Problem{File: s.file, Line: at.line, Column: at.column, Key: s.key(sub),
		// Errors of others are part of it, and a problem is one line.
		Message: strings.Join(strings.Fields(message), " ")}
}

// key is the dotted path of a key of this section, perhaps with an index.
func (s *section) key(sub string) string { return strings.TrimPrefix(s.path+"."+sub, ".") }

// fail reports an error at the value of a key.
func (s *section) fail(key, format string, args ...any) {
	s.failAt(s.at(key), key, format, args...)
}

// failAt reports an error about an item of a key, such as routes[1].
func (s *section) failAt(at position, sub, format string, args ...any) {
	key, _, _ := strings.Cut(sub, "[")
	s.failed[key] = true
	s.report.Errors = append(s.report.Errors, s.problem(at, sub, format, args...))
}

func (s *section) warn(at position, sub, format string, args ...any) {
	s.report.Warnings = append(s.report.Warnings, s.problem(at, sub, format, args...))
}

// require reports an absent key that has no default.
func (s *section) require(key, example string) {
	if s.lookup(key) == nil {
		s.fail(key, "is missing: write %s = %s", key, example)
	}
}

// done reports the keys that are in the file and not in the schema.
func (s *section) done() {
	if s.node == nil {
		return
	}
	wanted := make(map[string]bool, len(s.known))
	for _, key := range s.known {
		wanted[key] = true
	}
	for _, f := range s.node.fields {
		if !wanted[f.key] {
			s.report.Errors = append(s.report.Errors, s.problem(f.at, quoteKey(f.key),
				"unknown key; known here: %s", strings.Join(s.known, ", ")))
		}
	}
}

// typed returns the value of a key if it is there and of the wanted kind.
func (s *section) typed(key string, want kind, expected string) *node {
	f := s.get(key)
	if f == nil {
		return nil
	}
	if f.value.kind != want {
		s.fail(key, "must be %s, not %s", expected, f.value.kind)
		return nil
	}
	return f.value
}

// table opens a sub-table.
func (s *section) table(key string) *section {
	n := s.typed(key, kindTable, fmt.Sprintf("a table, written [%s]", joinKey(s.path, key)))
	return s.reader.section(joinKey(s.path, key), n)
}

// tables opens each item of an array of tables; form shows how one is written.
func (s *section) tables(key, form string) []*section {
	n := s.typed(key, kindArray, "an array of tables, written "+form)
	if n == nil {
		return nil
	}
	var all []*section
	for i, item := range n.items {
		if item.kind != kindTable {
			s.failAt(item.at, indexed(key, i), "must be a table, written %s, not %s", form, item.kind)
			continue
		}
		all = append(all, s.reader.section(joinKey(s.path, key)+indexed("", i), item))
	}
	return all
}

func indexed(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
