package daemon

import (
	"errors"
	"io/fs"

	"github.com/moverisd/moverisd/internal/store"
)

// Exit codes of run, from sysexits.h where it has them.
const (
	exitOther    = 1
	exitStore    = 65 // corrupt, or of a newer schema
	exitIO       = 74
	exitConfig   = 78
	exitComplete = 0
)

// ErrRunning says that a daemon is at work on a store that was to be read without it.
var ErrRunning = errors.New("a daemon is running on this store")

// configError is an error of the configuration, or of the machine it speaks of, that only a
// person can mend: starting again would not help.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// ExitCode is the exit code for an error of Run.
func ExitCode(err error) int {
	var c *configError
	switch {
	case err == nil:
		return exitComplete
	case errors.As(err, &c):
		return exitConfig
	case errors.Is(err, store.ErrNewer), errors.Is(err, store.ErrCorrupt):
		return exitStore
	case errors.Is(err, store.ErrBroken):
		return exitIO
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return exitConfig // a directory the configuration names, or the store's owner
	}
	return exitOther
}
