package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// check judges a string; its error says what the string must be and does not
// repeat it.
type check func(string) error

func (s *section) text(key, fallback string, checks ...check) string {
	n := s.typed(key, kindString, "a string")
	if n == nil || !s.pass(n, key, checks) {
		return fallback
	}
	return n.text
}

// pass applies checks to a string up to the first that fails.
func (s *section) pass(n *node, sub string, checks []check) bool {
	for _, c := range checks {
		if err := c(n.text); err != nil {
			s.failAt(n.at, sub, "%v", err)
			return false
		}
	}
	return true
}

// item is one string of a list; sub is its key with the index.
type item struct {
	*node
	sub string
}

// list reads an array of strings and returns those that pass the checks. An
// array that is there must not be empty.
func (s *section) list(key, example string, checks ...check) []item {
	n := s.typed(key, kindArray, "a list of strings, such as "+example)
	if n == nil {
		return nil
	}
	if len(n.items) == 0 {
		s.fail(key, "must not be empty: expected a list such as %s", example)
	}
	var items []item
	for i, n := range n.items {
		sub := indexed(key, i)
		switch {
		case n.kind != kindString:
			s.failAt(n.at, sub, "must be a string, not %s", n.kind)
		case s.pass(n, sub, checks):
			items = append(items, item{n, sub})
		}
	}
	return items
}

// distinct is list without repetitions; an absent key gives the fallback.
func (s *section) distinct(key, example string, fallback []string, checks ...check) []string {
	seen := make(map[string]bool)
	var values []string
	for _, it := range s.list(key, example, checks...) {
		if seen[it.text] {
			s.failAt(it.at, it.sub, "is in the list already")
		}
		seen[it.text] = true
		values = append(values, it.text)
	}
	if s.lookup(key) == nil {
		return fallback
	}
	return values
}

func (s *section) boolean(key string, fallback bool) bool {
	n := s.typed(key, kindBoolean, "true or false")
	if n == nil {
		return fallback
	}
	return n.text == "true"
}

func (s *section) integer(key string, fallback, low, high int64) int {
	n := s.typed(key, kindInteger, fmt.Sprintf("an integer, such as %d", fallback))
	if n == nil {
		return int(fallback)
	}
	// Base 0 understands TOML's 0x, 0o and 0b; a leading zero, which it would
	// take for octal, is no valid TOML.
	value, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, 64)
	if err != nil || value < low || value > high {
		s.fail(key, "must be from %d to %d", low, high)
		return int(fallback)
	}
	return int(value)
}

// duration reads at least one second, or "0" too where zero keeps for ever.
func (s *section) duration(key string, fallback time.Duration, zero bool) time.Duration {
	n := s.typed(key, kindString, "a duration in quotes, "+durationExample)
	if n == nil {
		return fallback
	}
	value, err := parseDuration(n.text)
	switch {
	case err != nil:
		s.fail(key, "%v", err)
	case value == 0 && !zero:
		s.fail(key, "must be at least one second, %s", durationExample)
	default:
		return value
	}
	return fallback
}

func (s *section) size(key string, fallback, low, high int64) int64 {
	n := s.typed(key, kindString, "a size in quotes, "+sizeExample)
	if n == nil {
		return fallback
	}
	value, err := parseSize(n.text)
	switch {
	case err != nil:
		s.fail(key, "%v", err)
	case value < low || value > high:
		s.fail(key, "must be from %s to %s", formatSize(low), formatSize(high))
	default:
		return value
	}
	return fallback
}
