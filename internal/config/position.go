package config

import (
	"sort"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lineIndex holds the offset at which each line begins, so that a position
// costs a binary search. The parser's own Shape scans from the start each time.
type lineIndex []int

func newLineIndex(data []byte) lineIndex {
	index := lineIndex{0}
	for i, c := range data {
		if c == '\n' {
			index = append(index, i+1)
		}
	}
	return index
}

func (l lineIndex) at(r unstable.Range) position {
	offset := int(r.Offset)
	line := sort.SearchInts(l, offset+1)
	return position{line: line, column: offset - l[line-1] + 1}
}

// quoteKey shows a key as it must be written: bare, or quoted where it has
// characters that a bare key has not. It keeps a message on one line.
func quoteKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return strconv.Quote(key)
}

func joinKey(path, key string) string {
	if path == "" {
		return quoteKey(key)
	}
	return path + "." + quoteKey(key)
}
