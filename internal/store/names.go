package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// names is the memory of a table that gives strings a number. The strings come from the
// configuration, so there are few of them and they are never forgotten.
type names struct {
	mu    sync.RWMutex
	ids   map[string]int64
	texts map[int64]string
}

func newNames() *names { return &names{ids: map[string]int64{}, texts: map[int64]string{}} }

func (n *names) id(text string) (int64, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok := n.ids[text]
	return id, ok
}

func (n *names) text(id int64) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.texts[id]
}

// written adds a text that a transaction writes. It is there before the commit, so that
// whoever reads what was committed finds it; after a rollback no number leads to it, until
// the next text with the same number takes its place.
func (n *names) written(id int64, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts[id] = text
}

// learn adds what a committed transaction has written.
func (n *names) learn(fresh map[string]int64) {
	if len(fresh) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for text, id := range fresh {
		n.ids[text], n.texts[id] = id, text
	}
}

// loadNames reads the store's identity and both tables of names.
func (s *Store) loadNames(ctx context.Context, conn *sql.Conn) error {
	if err := conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'store_id'").Scan(&s.id); err != nil {
		return fmt.Errorf("read the store's id: %w", translate(err))
	}
	var beat sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT (SELECT value FROM meta WHERE key = 'beat')").Scan(&beat); err != nil {
		return fmt.Errorf("read the store's last beat: %w", translate(err))
	}
	if t, err := time.Parse(time.RFC3339, beat.String); err == nil {
		s.lastBeat = t
	}
	for query, into := range map[string]*names{
		"SELECT name, id FROM accounts": s.accounts,
		"SELECT name, id FROM names":    s.names,
	} {
		fresh, err := readNames(ctx, conn, query)
		if err != nil {
			return fmt.Errorf("read the store's names: %w", translate(err))
		}
		into.learn(fresh)
	}
	return s.loadForwards(ctx, conn)
}

func readNames(ctx context.Context, conn *sql.Conn, query string) (map[string]int64, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fresh := map[string]int64{}
	for rows.Next() {
		var text string
		var id int64
		if err := rows.Scan(&text, &id); err != nil {
			return nil, err
		}
		fresh[text] = id
	}
	return fresh, rows.Err()
}

// knownAccount returns the number of an account, or 0 for one that was never written.
func (t *txn) knownAccount(name string) int64 {
	if id, ok := t.q.s.accounts.id(name); ok {
		return id
	}
	return t.newAccounts[name]
}

// account returns the number of an account, writing it if it is new.
func (t *txn) account(name string) (int64, error) {
	return t.number(t.q.s.accounts, &t.newAccounts, "INSERT INTO accounts (name) VALUES (?) RETURNING id", name)
}

const insertName = "INSERT INTO names (name) VALUES (?) RETURNING id"

// name returns the number of a label or route; nil stands for the empty string.
func (t *txn) name(text string) (any, error) {
	if text == "" {
		return nil, nil
	}
	return t.number(t.q.s.names, &t.newNames, insertName, text)
}

func (t *txn) number(known *names, fresh *map[string]int64, insert, text string) (int64, error) {
	if id, ok := known.id(text); ok {
		return id, nil
	}
	if id, ok := (*fresh)[text]; ok {
		return id, nil
	}
	var id int64
	if err := t.lookup(insert, text).Scan(&id); err != nil {
		return 0, err
	}
	if *fresh == nil {
		*fresh = map[string]int64{}
	}
	(*fresh)[text] = id
	known.written(id, text)
	return id, nil
}
