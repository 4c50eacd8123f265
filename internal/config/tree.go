package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// position counts lines and columns from 1, columns in bytes.
type position struct{ line, column int }

// kind is the type of a value as a reader of the file would name it.
type kind string

const (
	kindString   kind = "a string"
	kindInteger  kind = "an integer"
	kindFloat    kind = "a float"
	kindBoolean  kind = "a boolean"
	kindDateTime kind = "a date or time"
	kindArray    kind = "an array"
	kindTable    kind = "a table"
)

// node is one value of the file.
type node struct {
	kind   kind
	at     position // of the value; of its key where the parser gives no more
	text   string   // a string's value, a number's or boolean's source
	fields []*field // of a table, in file order
	items  []*node  // of an array

	index map[string]*field // fields by key, for add and field
}

// field is one key of a table.
type field struct {
	key   string
	at    position // of the first time the key is written
	value *node
}

// field returns nil for a key that the table does not have.
func (n *node) field(key string) *field { return n.index[key] }

func (n *node) add(f *field) {
	if n.index == nil {
		n.index = make(map[string]*field)
	}
	n.index[f.key] = f
	n.fields = append(n.fields, f)
}

// syntaxError is the first place at which the file is no TOML; nothing after
// it can be trusted, so there is only ever one.
type syntaxError struct {
	at      position
	message string
}

// parse returns the root table of a TOML document. The library first decodes
// the document, because its AST parser alone lets duplicate keys and redefined
// tables pass; the tree is then built from a document known to be valid.
func parse(data []byte) (*node, *syntaxError) {
	var discard map[string]any
	if err := toml.Unmarshal(data, &discard); err != nil {
		return nil, asSyntaxError(err)
	}
	b := &builder{lines: newLineIndex(data), root: &node{kind: kindTable, at: position{1, 1}}}
	b.parser.Reset(data)
	b.current = b.root
	for b.parser.NextExpression() {
		if err := b.expression(b.parser.Expression()); err != nil {
			return nil, err
		}
	}
	if err := b.parser.Error(); err != nil {
		return nil, &syntaxError{position{1, 1}, "not valid TOML: " + err.Error()}
	}
	return b.root, nil
}

func asSyntaxError(err error) *syntaxError {
	message := strings.TrimPrefix(err.Error(), "toml: ")
	if strings.Contains(message, "strconv.") {
		message = "a number is out of range" // strconv repeats the value
	}
	at := position{1, 1}
	if decodeErr, ok := errors.AsType[*toml.DecodeError](err); ok {
		at.line, at.column = decodeErr.Position()
	}
	return &syntaxError{at, "not valid TOML: " + message}
}

// builder folds the parser's expressions into one tree.
type builder struct {
	parser  unstable.Parser
	lines   lineIndex
	root    *node
	current *node // the table that key-values belong to
}

func (b *builder) expression(e *unstable.Node) *syntaxError {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		table, err := b.open(b.root, e.Key(), e.Kind == unstable.ArrayTable)
		if err != nil {
			return err
		}
		b.current = table
		return nil
	case unstable.KeyValue:
		return b.keyValue(b.current, e)
	default:
		return nil
	}
}

// open walks a dotted header from table and returns the table it names, with
// all tables on the way created. An array header appends a new item.
func (b *builder) open(table *node, keys unstable.Iterator, array bool) (*node, *syntaxError) {
	for keys.Next() {
		key := string(keys.Node().Data)
		at := b.lines.at(keys.Node().Raw)
		f := table.field(key)
		last := keys.IsLast()
		if f == nil {
			f = &field{key: key, at: at, value: &node{kind: kindTable, at: at}}
			if last && array {
				f.value.kind = kindArray
			}
			table.add(f)
		}
		if last && array && f.value.kind == kindArray {
			f.value.items = append(f.value.items, &node{kind: kindTable, at: at})
		}
		next := f.value
		if next.kind == kindArray && len(next.items) > 0 {
			next = next.items[len(next.items)-1]
		}
		if next.kind != kindTable {
			return nil, &syntaxError{at, fmt.Sprintf("not valid TOML: %s is not a table", quoteKey(key))}
		}
		table = next
	}
	return table, nil
}

func (b *builder) keyValue(table *node, e *unstable.Node) *syntaxError {
	keys := e.Key()
	for keys.Next() {
		key := string(keys.Node().Data)
		at := b.lines.at(keys.Node().Raw)
		f := table.field(key)
		if keys.IsLast() {
			if f != nil {
				return &syntaxError{at, fmt.Sprintf("not valid TOML: %s is written twice", quoteKey(key))}
			}
			value, err := b.value(e.Value(), at)
			if err != nil {
				return err
			}
			table.add(&field{key: key, at: at, value: value})
			return nil
		}
		if f == nil {
			f = &field{key: key, at: at, value: &node{kind: kindTable, at: at}}
			table.add(f)
		}
		if f.value.kind != kindTable {
			return &syntaxError{at, fmt.Sprintf("not valid TOML: %s is not a table", quoteKey(key))}
		}
		table = f.value
	}
	return nil
}

// value converts a value; at is used where the parser has no position for it,
// which is the case for arrays.
func (b *builder) value(v *unstable.Node, at position) (*node, *syntaxError) {
	if v.Raw.Length > 0 {
		at = b.lines.at(v.Raw)
	}
	n := &node{kind: kindOf(v.Kind), at: at, text: string(v.Data)}
	children := v.Children()
	switch v.Kind {
	case unstable.Array:
		for children.Next() {
			item, err := b.value(children.Node(), at)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case unstable.InlineTable:
		for children.Next() {
			if err := b.keyValue(n, children.Node()); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

func kindOf(k unstable.Kind) kind {
	switch k {
	case unstable.String:
		return kindString
	case unstable.Integer:
		return kindInteger
	case unstable.Float:
		return kindFloat
	case unstable.Bool:
		return kindBoolean
	case unstable.Array:
		return kindArray
	case unstable.InlineTable:
		return kindTable
	default:
		return kindDateTime
	}
}
