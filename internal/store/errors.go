package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
)

// Errors that callers branch on.
var (
	ErrBusy     = errors.New("the store's queue is full")
	ErrFull     = errors.New("the disk is full")
	ErrBroken   = errors.New("the store has failed and takes nothing more")
	ErrClosed   = errors.New("the store is closed")
	ErrNotFound = errors.New("not found")
	ErrNewer    = errors.New("the store was written by a newer version")
	ErrCorrupt  = errors.New("the store is corrupt")
	ErrLocked   = errors.New("the store is in use")
	// ErrGone says that a cursor cannot be continued: events were pruned, or it belongs
	// to another store.
	ErrGone = errors.New("the cursor cannot be continued")
)

// Ambiguous says that a session id is known in several accounts and none was named.
type Ambiguous struct{ Accounts []string }

func (e *Ambiguous) Error() string {
	return fmt.Sprintf("the id is known in several accounts: %v; name one", e.Accounts)
}

// Differs says that a known session was expected with another value.
type Differs struct{ Field string }

func (e *Differs) Error() string {
	return fmt.Sprintf("the session is known with another %s", e.Field)
}

// Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
const (
	codeInternal = 2
	codePerm     = 3
	codeBusy     = 5
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeProtocol = 15
	codeMisuse   = 21
	codeNotADB   = 26
)

// primary is SQLite's primary result code of an error, or 0.
func primary(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// errTransaction says that a transaction did not begin or end as it should have, so that
// what is in it is not known.
var errTransaction = errors.New("the transaction is not what it should be")

// severity says what an error of the database means for the store.
type severity int

const (
	harmless   severity = iota // the operation's own fault
	passing                    // full disk, lock held: may succeed later
	unsure                     // I/O or a lost connection: what is on disk is not known
	corruption                 // the file cannot be trusted
)

func severityOf(err error) severity {
	switch primary(err) {
	case codeFull, codeBusy:
		return passing
	case codeIOErr, codeCantOpen, codeReadOnly, codePerm, codeProtocol, codeInternal, codeMisuse:
		return unsure
	case codeCorrupt, codeNotADB:
		return corruption
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return passing
	case errors.Is(err, errTransaction), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return unsure
	}
	return harmless
}

// translate wraps an error of the database with the sentinel that callers know.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case primary(err) == codeFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case primary(err) == codeBusy:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case severityOf(err) == corruption:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
