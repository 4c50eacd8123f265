package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moverisd/moverisd/internal/verdict"
)

func TestSchemaIsStrictAndPragmasHold(t *testing.T) {
	f := newFixture(t)
	rows, err := f.reader.Query("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'")
	must(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var name string
		var strict bool
		must(t, rows.Scan(&name, &strict))
		if !strict {
			t.Errorf("table %s is not STRICT", name)
		}
	}
	must(t, rows.Err())
	if n < 9 {
		t.Errorf("%d tables", n)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1",
		"secure_delete": "1", "busy_timeout": "5000", "query_only": "0"} {
		var have string
		must(t, f.writer.QueryRow("PRAGMA "+pragma).Scan(&have))
		same(t, "writer's "+pragma, have, want)
	}
	if _, err := f.reader.Exec("INSERT INTO meta VALUES ('a', 'b')"); err == nil {
		t.Error("a reader can write")
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(f.path + suffix)
		must(t, err)
		same(t, "mode of "+info.Name(), info.Mode().Perm(), 0o600)
	}
}

// refused opens a store that must be refused, and sees that nothing was created or changed.
func refused(t *testing.T, path string, want error) {
	t.Helper()
	before := files(t, filepath.Dir(path))
	s, err := Open(ctx(), Options{Path: path})
	if err == nil {
		s.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, want) {
		t.Errorf("error %q is not %q", err, want)
	}
	same(t, "files", files(t, filepath.Dir(path)), before)
}

func TestRefusedStoresAreLeftAlone(t *testing.T) {
	t.Run("newer", func(t *testing.T) {
		f := newFixture(t)
		must(t, f.Close())
		f.raw("PRAGMA user_version = 99")
		refused(t, f.path, ErrNewer)
	})
	t.Run("newer in the log only", func(t *testing.T) {
		f := newFixture(t)
		f.raw("PRAGMA user_version = 99")
		dir := t.TempDir()
		for name, data := range files(t, filepath.Dir(f.path)) {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600))
		}
		path := filepath.Join(dir, filepath.Base(f.path))
		before := files(t, dir)
		if _, err := Open(ctx(), Options{Path: path}); !errors.Is(err, ErrNewer) {
			t.Error(err)
		}
		after := files(t, dir)
		for _, name := range []string{"moverisd.db-shm", "moverisd.db.lock"} { // shared memory and the holder's number
			delete(before, name)
			delete(after, name)
		}
		same(t, "files", after, before)
	})
	t.Run("garbage", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.db")
		must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
		refused(t, path, ErrCorrupt)
	})
	t.Run("short", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.db")
		must(t, os.WriteFile(path, []byte("SQLite format 3\x00"), 0o600))
		refused(t, path, ErrCorrupt)
	})
	t.Run("emptied beside its log", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.db")
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.WriteFile(path+"-wal", []byte("what was acknowledged"), 0o600))
		refused(t, path, ErrCorrupt)
	})
	t.Run("no directory", func(t *testing.T) {
		dir := t.TempDir()
		_, err := Open(ctx(), Options{Path: filepath.Join(dir, "none", "a.db")})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		same(t, "files", len(files(t, dir)), 0)
	})
	t.Run("in use", func(t *testing.T) {
		f := newFixture(t)
		f.webhook("a", "live")
		_, err := Open(ctx(), Options{Path: f.path})
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process ") {
			t.Error(err)
		}
		f.webhook("b", "live")
		f.sound()
	})
}

func TestReopen(t *testing.T) {
	f := newFixture(t)
	must(t, f.Ping(ctx()))
	f.webhook("a", "live")
	id, before := f.ID(), f.get("a")
	f.reopen()
	same(t, "id", f.ID(), id)
	same(t, "session", f.get("a").Session.Outcome, before.Session.Outcome)
	same(t, "last beat", f.LastBeat(), f.now())
	must(t, f.Close())
	must(t, f.Close())
	if _, err := f.Expect(ctx(), Expectation{Account: "a", SessionID: "b"}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	same(t, "files after a clean end", keys(files(t, filepath.Dir(f.path))), []string{"moverisd.db", "moverisd.db.lock"})
}

func TestOpenReadOnly(t *testing.T) {
	f := newFixture(t)
	f.webhook("a", "live")
	if _, err := OpenReadOnly(ctx(), f.path); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	// As an unclean end leaves it, with and without the shared memory.
	for _, names := range [][]string{{"moverisd.db", "moverisd.db-wal"}, {"moverisd.db", "moverisd.db-shm", "moverisd.db-wal"}} {
		dir := t.TempDir()
		for _, name := range names {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(files(t, filepath.Dir(f.path))[name]), 0o600))
		}
		readOnly(t, filepath.Join(dir, "moverisd.db"))
		same(t, "files", keys(files(t, dir)), names)
	}
	must(t, f.Close())
	before := files(t, filepath.Dir(f.path))
	readOnly(t, f.path)
	same(t, "files", files(t, filepath.Dir(f.path)), before)
	if _, err := OpenReadOnly(ctx(), f.path+"x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	must(t, os.WriteFile(f.path+"y", []byte(strings.Repeat("x", 200)), 0o600))
	if _, err := OpenReadOnly(ctx(), f.path+"y"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func readOnly(t *testing.T, path string) {
	t.Helper()
	s, err := OpenReadOnly(ctx(), path)
	must(t, err)
	v, err := s.Get(ctx(), "", "a", true)
	must(t, err)
	same(t, "account", v.Account, "production")
	same(t, "state", v.State, verdict.Settled)
	if len(v.Entries[0].Body) == 0 {
		t.Error("no body")
	}
	if wrong, err := s.Verify(ctx()); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
	if _, err := s.Expect(ctx(), Expectation{Account: "production", SessionID: "b"}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	must(t, s.Close())
}
