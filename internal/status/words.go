package status

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// paint writes a level, in colour for a terminal.
func paint(l Level, color bool) string {
	if !color {
		return string(l)
	}
	codes := map[Level]string{OK: "32", Degraded: "33", Failing: "31", Unknown: "35"}
	return "\x1b[1;" + codes[l] + "m" + string(l) + "\x1b[0m"
}

func ago(now time.Time, stamp *string) string {
	at := parse(stamp)
	if at.IsZero() {
		return "never"
	}
	return span(max(now.Sub(at), 0)) + " ago"
}

// Ago says how long before as-of something was, for the page.
func Ago(asOf, stamp *string) string { return ago(parse(asOf), stamp) }

func until(now time.Time, stamp *string) string {
	at := parse(stamp)
	switch {
	case at.IsZero():
		return "not planned"
	case !at.After(now):
		return "now"
	}
	return "in " + span(at.Sub(now))
}

func deref(s *string) string {
	if s == nil {
		return "an unknown time"
	}
	return *s
}

// clean makes a text that may hold an error from outside fit for one line of a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
}

// plural counts something in words.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func sum(counts map[string]int64) int64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n
}

// counts lists counts that are not zero, the largest first.
func counts(m map[string]int64) string {
	var keys []string
	for k, n := range m {
		if n > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if m[a] != m[b] {
			return int(m[b] - m[a])
		}
		return strings.Compare(a, b)
	})
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s: %d", k, m[k])
	}
	return strings.Join(keys, ", ")
}
