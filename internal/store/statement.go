package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"strings"
)

// statements are the prepared statements of the writer that every delivery runs. They go to the
// driver itself, by way of sql.Conn.Raw: what database/sql adds for many connections and any
// type costs a delivery about a tenth of its time in the store, and the writer has one
// connection and six types. Owned by the writer goroutine.
type statements struct {
	prepared map[string]driver.Stmt
	inserts  map[insertShape]string
	args     []driver.NamedValue // reused, as row
	row      []driver.Value
}

// insertShape says which columns of a table an INSERT names, a bit of named for each.
type insertShape struct {
	table, columns string
	named          uint32
}

func newStatements() statements {
	return statements{prepared: map[string]driver.Stmt{}, inserts: map[insertShape]string{}}
}

// raw runs f with a statement of the driver and its arguments.
func (t *txn) raw(query string, args []any, f func(st driver.Stmt, args []driver.NamedValue) error) error {
	s := &t.q.statements
	s.args = s.args[:0]
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return err
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return t.q.conn.Raw(func(conn any) error {
		st, ok := s.prepared[query]
		if !ok {
			var err error
			if st, err = conn.(driver.ConnPrepareContext).PrepareContext(context.Background(), query); err != nil {
				return err
			}
			s.prepared[query] = st
		}
		return f(st, s.args)
	})
}

// exec runs a statement.
func (t *txn) exec(query string, args ...any) error {
	_, err := t.result(query, args)
	return err
}

// execCount is exec and the number of rows it changed.
func (t *txn) execCount(query string, args ...any) (int64, error) {
	res, err := t.result(query, args)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *txn) result(query string, args []any) (res driver.Result, err error) {
	err = t.raw(query, args, func(st driver.Stmt, args []driver.NamedValue) error {
		res, err = st.(driver.StmtExecContext).ExecContext(context.Background(), args)
		return err
	})
	return res, err
}

// lookup runs a query for one row, as QueryRow of database/sql. The row is to be scanned before
// the next statement.
func (t *txn) lookup(query string, args ...any) scanner {
	out := looked{err: sql.ErrNoRows}
	err := t.raw(query, args, func(st driver.Stmt, args []driver.NamedValue) error {
		rows, err := st.(driver.StmtQueryContext).QueryContext(context.Background(), args)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := len(rows.Columns())
		row := slices.Grow(t.q.statements.row[:0], n)[:n]
		t.q.statements.row = row
		if err := rows.Next(row); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		out = looked{row: row}
		return nil
	})
	if err != nil {
		out.err = err
	}
	return out
}

// scanner is a row: of sql.Rows, a sql.Row, or looked.
type scanner interface{ Scan(dest ...any) error }

// looked is a row as the driver gives it, or the reason why there is none.
type looked struct {
	row []driver.Value
	err error
}

// Scan is what that of database/sql is, for the types that the store reads.
func (l looked) Scan(dest ...any) error {
	if l.err != nil {
		return l.err
	}
	if len(dest) != len(l.row) {
		return fmt.Errorf("a row of %d columns is read into %d variables", len(l.row), len(dest))
	}
	for i, d := range dest {
		if !assign(d, l.row[i]) {
			return fmt.Errorf("column %d: %T cannot be read into %T", i, l.row[i], d)
		}
	}
	return nil
}

func assign(dest any, v driver.Value) (ok bool) {
	switch d := dest.(type) {
	case *int64:
		*d, ok = v.(int64)
	case *string:
		*d, ok = v.(string)
	case *[]byte:
		*d, ok = v.([]byte)
		ok = ok || v == nil
	case *bool:
		var n int64
		n, ok = v.(int64)
		*d = n != 0
	case *any:
		*d, ok = v, true
	case *sql.NullInt64:
		d.Int64, d.Valid = v.(int64)
		ok = d.Valid || v == nil
	case *sql.NullFloat64:
		d.Float64, d.Valid = v.(float64)
		ok = d.Valid || v == nil
	}
	return ok
}

// insert writes a row; columns are at most 32, separated by commas. A column whose value is nil
// is not named and gets its default: binding it would cost as much as a value does, and most
// columns of a record are empty.
func (t *txn) insert(table, columns string, values ...any) error {
	shape := insertShape{table: table, columns: columns}
	kept := values[:0]
	for i, v := range values {
		if v != nil {
			shape.named |= 1 << i
			kept = append(kept, v)
		}
	}
	query, ok := t.q.statements.inserts[shape]
	if !ok {
		query = shape.text()
		t.q.statements.inserts[shape] = query
	}
	return t.exec(query, kept...)
}

func (s insertShape) text() string {
	var named []string
	for i, c := range strings.Split(s.columns, ",") {
		if s.named&(1<<i) != 0 {
			named = append(named, c)
		}
	}
	return "INSERT INTO " + s.table + " (" + strings.Join(named, ",") + ") VALUES (?" + strings.Repeat(", ?", len(named)-1) + ")"
}

// close finalizes the statements; the connection must still be open.
func (s *statements) close() {
	for _, st := range s.prepared {
		st.Close()
	}
}
