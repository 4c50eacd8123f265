package moveris

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// members visits the members of a JSON object in order and reports whether raw is an
// object. raw must be valid JSON ([json.Valid]): the walk trusts its syntax. Keys come
// without their quotes, values as they stand.
func members(raw []byte, visit func(key, value []byte)) bool {
	i := skipSpace(raw, 0)
	if i == len(raw) || raw[i] != '{' {
		return false
	}
	i = skipSpace(raw, i+1)
	for raw[i] != '}' {
		end := stringEnd(raw, i)
		key := plainKey(raw[i:end])
		i = skipSpace(raw, end) // at the colon
		i = skipSpace(raw, i+1) // at the value
		end = valueEnd(raw, i)
		visit(key, raw[i:end])
		i = skipSpace(raw, end)
		if raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return true
}

// elements visits the elements of a JSON array, under the same terms as [members].
func elements(raw []byte, visit func(value []byte)) bool {
	i := skipSpace(raw, 0)
	if i == len(raw) || raw[i] != '[' {
		return false
	}
	i = skipSpace(raw, i+1)
	for raw[i] != ']' {
		end := valueEnd(raw, i)
		visit(raw[i:end])
		i = skipSpace(raw, end)
		if raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return true
}

// plainKey strips the quotes of a key. An escaped key is the same key.
func plainKey(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	s, _ := unquote(quoted)
	return []byte(s)
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// stringEnd is the position behind the string that starts at i.
func stringEnd(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd is the position behind the value that starts at i. It does not recurse, so
// depth costs nothing.
func valueEnd(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i = scalarEnd(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// scalarEnd moves over a number, true, false or null; within a container also over
// one separator at a time.
func scalarEnd(raw []byte, i int) int {
	start := i
	for i < len(raw) {
		switch raw[i] {
		case ',', ':', '{', '}', '[', ']', '"', ' ', '\n', '\t', '\r':
			return max(i, start+1)
		}
		i++
	}
	return i
}

// unquote reads a JSON string and reports whether raw is one. Broken UTF-8 becomes
// U+FFFD, as encoding/json does it.
func unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	if !utf8.Valid(inner) {
		return strings.ToValidUTF8(string(inner), "\uFFFD"), true
	}
	return string(inner), true
}

func isNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }
