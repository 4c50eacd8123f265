package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// durationMax keeps every sum of a time and a few durations far from the
	// overflow of int64 nanoseconds (292 years).
	durationMax = 36500 * day

	durationExample = `such as "90s", "24h", "30d" or "1h30m"`
	sizeExample     = `such as "256KiB" or "1MiB"`
)

var (
	durationSyntax = regexp.MustCompile(`^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$`)
	sizeSyntax     = regexp.MustCompile(`^(\d+)(B|KB|MB|KiB|MiB)$`)
)

// parseDuration reads whole days, hours, minutes and seconds in this order, or
// a plain "0". Its errors say what is expected.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	parts := durationSyntax.FindStringSubmatch(s)
	if s == "" || parts == nil {
		return 0, errors.New("must be whole numbers with the units d, h, m, s in this order, not negative, " + durationExample)
	}
	var total time.Duration
	for i, unit := range []time.Duration{day, time.Hour, time.Minute, time.Second} {
		if parts[i+1] == "" {
			continue
		}
		count, err := strconv.ParseInt(parts[i+1], 10, 64)
		if err != nil || count > int64((durationMax-total)/unit) {
			return 0, errors.New("must be at most 36500d")
		}
		total += time.Duration(count) * unit
	}
	return total, nil
}

// formatDuration is the inverse of parseDuration for whole seconds.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if count := d / u.unit; count > 0 {
			fmt.Fprintf(&b, "%d%s", count, u.name)
			d -= count * u.unit
		}
	}
	return b.String()
}

// parseSize reads a number of bytes with a decimal or binary unit.
func parseSize(s string) (int64, error) {
	parts := sizeSyntax.FindStringSubmatch(s)
	if parts == nil {
		return 0, errors.New("must be a whole number with one of the units B, KB, MB, KiB, MiB, " + sizeExample)
	}
	unit := map[string]int64{"B": 1, "KB": 1e3, "MB": 1e6, "KiB": 1 << 10, "MiB": 1 << 20}[parts[2]]
	count, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || count > math.MaxInt64/unit {
		return 0, errors.New("must be a smaller size")
	}
	return count * unit, nil
}

// formatSize is the inverse of parseSize, in the largest unit without a rest.
func formatSize(n int64) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "MiB"
	case n > 0 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "KiB"
	default:
		return strconv.FormatInt(n, 10) + "B"
	}
}
