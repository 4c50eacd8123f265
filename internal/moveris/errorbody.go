package moveris

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// errorBodyMax is how much of an error body is looked at. Nothing of it is kept but its
// code: what else is in there nobody knows.
const errorBodyMax = 512

const codeMax = 64

var (
	// codeRE is the form of every code seen. It leaves out whatever could be a key or an
	// id that a server sends back.
	codeRE = regexp.MustCompile(`^[a-z]+(?:_[a-z]+)*$`)
	// innerRE finds the code in a Python dict, or JSON, that was printed into a string.
	innerRE = regexp.MustCompile(`['"](?:error|code)\\?['"]\s*:\s*\\?['"]([a-z]+(?:_[a-z]+)*)\\?['"]`)
	// waitRE finds retry_after in whatever surrounds it, cut off or not.
	waitRE = regexp.MustCompile(`['"]retry_after\\?['"]\s*:\s*\\?['"]?([0-9]{1,30}(?:\.[0-9]{1,30})?)`)
)

// wrapperCodes say who failed, not why: the why is in the message (contract section 4,
// shape 2).
func isWrapper(code string) bool {
	return slices.Contains([]string{"http_error", "upstream_error", "proxy_error", "internal_error"}, code)
}

// errorCode returns the error code of an error body in any of the six shapes of
// contract section 4, or "" if it has none.
func errorCode(body []byte) string {
	body = bytes.TrimSpace(body[:min(len(body), errorBodyMax)])
	if len(body) == 0 || body[0] != '{' {
		return ""
	}
	if !json.Valid(body) {
		return inner(string(body)) // cut off at errorBodyMax, or not JSON at all
	}
	var code, message, detail, list []byte
	members(body, func(key, value []byte) {
		switch string(key) {
		case "error", "code":
			code = value
		case "message":
			message = value
		case "detail":
			detail = value
		case "errors":
			list = value
		}
	})
	said := asCode(code)
	if said != "" && !isWrapper(said) {
		return said
	}
	text, _ := unquote(message)
	for _, c := range []string{inner(text), firstErrorKey(list), said, asCode(detail), inner(string(detail)), inner(string(code))} {
		if c != "" {
			return c
		}
	}
	return ""
}

// firstErrorKey reads the first code of shape 1: [{"<code>": ["text"]}].
func firstErrorKey(list []byte) string {
	var first string
	elements(orNull(list), func(value []byte) {
		members(value, func(key, _ []byte) {
			if first == "" && len(key) <= codeMax && codeRE.Match(key) {
				first = string(key)
			}
		})
	})
	return first
}

func orNull(raw []byte) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

// asCode returns a JSON string that looks like a code, and "" for sentences.
func asCode(raw []byte) string {
	s, ok := unquote(raw)
	if s = strings.TrimSpace(s); ok && len(s) <= codeMax && codeRE.MatchString(s) {
		return s
	}
	return ""
}

func inner(text string) string {
	first := ""
	for _, m := range innerRE.FindAllStringSubmatch(text, 8) {
		if len(m[1]) > codeMax {
			continue
		}
		if !isWrapper(m[1]) {
			return m[1]
		}
		first = orText(first, m[1])
	}
	return first
}

// bodyRetryAfter returns the retry_after of an error body, 0 if it has none.
func bodyRetryAfter(body []byte) time.Duration {
	if m := waitRE.FindSubmatch(body[:min(len(body), errorBodyMax)]); m != nil {
		return seconds(string(m[1]))
	}
	return 0
}
