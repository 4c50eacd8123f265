package main

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// syscallLine is one system call of a trace: where it began and ended, as line numbers.
type syscallLine struct {
	name       string
	path       string // of its descriptor
	args       string // the rest of the line, strings as strace prints them
	begun      int
	ended      int // 0: it never did
	failed     bool
	result     string
	descriptor int
}

var callPattern = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\((.*)$`)

// readTrace reads what strace -f -y wrote, joining what other threads have interrupted.
func readTrace(path string) ([]*syscallLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var calls []*syscallLine
	open := map[string]*syscallLine{} // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		thread, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimLeft(rest, " ")
		if strings.HasPrefix(rest, "<... ") {
			if c := open[thread]; c != nil {
				_, more, _ := strings.Cut(rest, "resumed>")
				c.args = strings.TrimSuffix(c.args, "<unfinished ...>") + more // what was read comes at the end
				c.finish(rest, n)
				delete(open, thread)
			}
			continue
		}
		m := callPattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c := &syscallLine{name: m[2], args: m[3], begun: n}
		c.descriptor, c.path = descriptorOf(m[3])
		if strings.HasSuffix(line, "<unfinished ...>") {
			open[thread] = c
		} else {
			c.finish(m[3], n)
		}
		calls = append(calls, c)
	}
	return calls, lines.Err()
}

func (c *syscallLine) finish(text string, line int) {
	i := strings.LastIndex(text, " = ")
	if i < 0 {
		return
	}
	c.ended = line
	c.result = text[i+3:]
	c.failed = strings.HasPrefix(c.result, "-1") || strings.HasPrefix(c.result, "?")
}

// descriptorOf is the descriptor a call works on and its path.
func descriptorOf(args string) (int, string) {
	n, rest, ok := strings.Cut(args, "<")
	fd, err := strconv.Atoi(n)
	if !ok || err != nil {
		return -1, ""
	}
	path, _, _ := strings.Cut(rest, ">")
	return fd, path
}

// text is the string that a call of read or write has handed over, unescaped.
func (c *syscallLine) text() []byte {
	i := strings.IndexByte(c.args, '"')
	if i < 0 {
		return nil
	}
	return unescape(c.args[i+1:])
}

// unescape reads a string as strace prints it, up to its closing quote.
func unescape(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			v, n := 0, 0
			for n < 3 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7' {
				v = v*8 + int(s[i+n]-'0')
				n++
			}
			out = append(out, byte(v))
			i += n - 1
		case c == 'x':
			v, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			out = append(out, byte(v))
			i += 2
		default:
			k := strings.IndexByte("ntrvfab", c)
			if k < 0 {
				out = append(out, c)
			} else {
				out = append(out, "\n\t\r\v\f\a\b"[k])
			}
		}
	}
	return out
}
