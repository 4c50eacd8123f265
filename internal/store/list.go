package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Filter selects sessions for a list. Zero fields select all.
type Filter struct {
	Account  string
	State    verdict.State
	Outcome  verdict.Outcome
	Source   verdict.Source // who told first
	Conflict bool
	Since    time.Time // last observed at or after
	After    string    // cursor of the page before
	Limit    int       // at most ListMax; 0 means ListMax
}

// ListMax is the largest page of a list.
const ListMax = 1000

// List reads a page of sessions, the newest first, and the cursor of the next page, empty
// if there is none. A malformed cursor is an error.
func (s *Store) List(ctx context.Context, f Filter) ([]View, string, error) {
	if f.Limit <= 0 || f.Limit > ListMax {
		f.Limit = ListMax
	}
	where, args, err := s.where(f)
	if err != nil {
		return nil, "", err
	}
	tx, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return nil, "", translate(err)
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "SELECT "+rowColumns+" FROM sessions"+where+" ORDER BY id DESC LIMIT ?",
		append(args, f.Limit+1)...)
	if err != nil {
		return nil, "", translate(err)
	}
	defer rows.Close()
	var found []*row
	for rows.Next() {
		r, err := s.scanRow(rows)
		if err != nil {
			return nil, "", translate(err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, "", translate(err)
	}
	next := ""
	if len(found) > f.Limit {
		found = found[:f.Limit]
		next = strconv.FormatInt(found[len(found)-1].id, 10)
	}
	views := make([]View, 0, len(found))
	for _, r := range found {
		v, err := s.view(ctx, tx, r, false)
		if err != nil {
			return nil, "", err
		}
		views = append(views, v)
	}
	return views, next, nil
}

// where turns a filter into SQL.
func (s *Store) where(f Filter) (string, []any, error) {
	var terms []string
	var args []any
	add := func(term string, values ...any) {
		terms = append(terms, term)
		args = append(args, values...)
	}
	if f.After != "" {
		id, err := strconv.ParseInt(f.After, 10, 64)
		if err != nil {
			return "", nil, fmt.Errorf("%w: %q is no cursor of a list of sessions", ErrGone, f.After)
		}
		add("id < ?", id)
	}
	if f.Account != "" {
		id, _ := s.accounts.id(f.Account)
		add("account = ?", id)
	}
	switch now := s.now().UnixMilli(); f.State {
	case "":
	case verdict.Awaiting:
		add("state = 1 AND state <> 3 AND grace_until_ms > ?", now)
	case verdict.Overdue:
		add("(state = 2 AND state <> 3 OR state = 1 AND state <> 3 AND grace_until_ms <= ?)", now)
	case verdict.Missing, verdict.Withdrawn:
		// Without a grace period, they lie in the index in the order of their numbers.
		add("state = ? AND state <> 3 AND grace_until_ms IS NULL", code(verdict.States(), f.State))
	default:
		add("state = ?", code(verdict.States(), f.State))
	}
	if f.Outcome != "" {
		add("outcome = ?", code(verdict.Outcomes(), f.Outcome))
	}
	if f.Source != "" {
		add("first_by = ?", code(verdict.Sources(), f.Source))
	}
	if f.Conflict {
		add("flags & 1")
	}
	if !f.Since.IsZero() {
		add("last_observed_at_ms >= ?", f.Since.UnixMilli())
	}
	if len(terms) == 0 {
		return "", nil, nil
	}
	return " WHERE " + strings.Join(terms, " AND "), args, nil
}
