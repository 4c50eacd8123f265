package gateway

import (
	"bytes"
	"encoding/json"
)

const (
	keyMax   = 64   // a longer key is not the one
	valueMax = 2048 // 200 bytes of id, each escaped at its longest, and more
)

// scanner finds the string at a top-level key of a JSON object that passes by in pieces. It
// keeps no more than that key and that string; the text of other strings is skipped at the
// speed of memory. What is no JSON object is let be, and nothing is checked: the server will.
type scanner struct {
	key string

	value string // once found
	done  bool   // found, or not to be found

	depth    int
	begun    bool
	wantKey  bool // the next string at depth 1 is a key
	matched  bool // the value of the key comes next
	inString bool
	keep     bool // the string that passes is a key or the value
	escaped  bool // its last byte is a backslash that escapes the next
	buf      []byte
}

// feed takes the next piece.
func (s *scanner) feed(p []byte) {
	for len(p) > 0 && !s.done {
		if s.inString {
			p = s.text(p)
			continue
		}
		c := p[0]
		p = p[1:]
		if !s.begun {
			s.begin(c)
			continue
		}
		s.structure(c)
	}
}

func (s *scanner) begin(c byte) {
	switch c {
	case ' ', '\t', '\r', '\n':
	case '{':
		s.begun, s.wantKey, s.depth = true, true, 1
	default:
		s.done = true
	}
}

// structure takes a byte outside of strings.
func (s *scanner) structure(c byte) {
	switch c {
	case '"':
		s.inString, s.escaped, s.buf = true, false, s.buf[:0]
		s.keep = s.depth == 1 && (s.wantKey || s.matched)
	case '{', '[':
		s.depth++
		s.matched = false
	case '}', ']':
		s.depth--
		s.done = s.depth == 0
	case ',':
		if s.depth == 1 {
			s.wantKey, s.matched = true, false
		}
	}
}

// text takes what belongs to a string and returns the rest.
func (s *scanner) text(p []byte) []byte {
	for i := 0; ; {
		if s.escaped {
			if i == len(p) {
				break
			}
			s.escaped = false
			i++
		}
		quote := bytes.IndexByte(p[i:], '"')
		end := len(p)
		if quote >= 0 {
			end = i + quote
		}
		if slash := bytes.IndexByte(p[i:end], '\\'); slash >= 0 {
			i += slash + 1
			s.escaped = true
			continue
		}
		if quote < 0 {
			break
		}
		s.save(p[:end])
		s.end()
		return p[end+1:]
	}
	s.save(p)
	return nil
}

// save keeps a piece of the string that passes, if it is one to be kept and not too long.
func (s *scanner) save(p []byte) {
	if !s.keep {
		return
	}
	limit := valueMax
	if s.wantKey {
		limit = keyMax
	}
	if len(s.buf)+len(p) > limit {
		s.keep = false
		return
	}
	s.buf = append(s.buf, p...)
}

// end takes the end of a string.
func (s *scanner) end() {
	s.inString = false
	if s.depth != 1 {
		return
	}
	var text string
	if s.keep && json.Unmarshal([]byte(`"`+string(s.buf)+`"`), &text) != nil {
		s.keep = false
	}
	switch {
	case s.wantKey:
		s.wantKey, s.matched = false, s.keep && text == s.key
	case s.matched:
		if s.keep {
			s.value = text
		}
		s.done = true
	}
}
