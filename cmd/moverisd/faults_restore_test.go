package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// faultRestore kills `db restore` at its system calls. The next start either finds the store as
// it was, or the restored one, or refuses until the restore is done again; never does it begin
// with an empty store, and in the end all is there.
func faultRestore(t *testing.T) string {
	master := newVictim(t, "", nil)
	backup := filepath.Join(master.dir, "backup.db")
	for i, end := range []int{20, 40} {
		master.run()
		for n := i * 20; n < end; n++ {
			master.deliver(fmt.Sprintf("r-%d", n), "live")
		}
		master.kill()
		if i == 0 {
			withStore(t, master, func(ctx context.Context, st *store.Store) error { return st.Backup(ctx, backup) })
		}
	}
	kills, refused := 0, 0
	for call, points := range map[string][]int{"fsync": {1, 2, 3, 4, 5, 6, 8}, "pwrite64": {1, 2, 5, 10, 30, 60, 90}, "write": {1, 2, 3},
		"/^rename": {1, 2, 3, 4}, "/^unlink": {1, 2, 3}, "ftruncate": {1, 2}} {
		for _, n := range points {
			v := newVictim(t, "", nil)
			v.ledger = master.ledger.copy()
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(master.store() + suffix)
				must(t, err)
				must(t, os.WriteFile(v.store()+suffix, data, 0o600))
			}
			v.command = []string{"db", "restore", backup}
			code, err := v.start("-o", "/dev/null", "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n)).wait(30 * time.Second)
			must(t, err)
			if code == 137 {
				kills++
			} else if code != 0 {
				t.Fatalf("restore: exit code %d\n%s", code, v.running.text())
			}
			err = v.audit()
			if errors.Is(err, store.ErrCorrupt) {
				refused++
				_, err = store.Restore(t.Context(), v.store(), backup, nil, time.Now())
				must(t, err)
				err = v.audit()
			}
			if err != nil {
				t.Errorf("killed at %s number %d: %v", call, n, err)
			}
		}
	}
	if kills < 12 {
		t.Errorf("only %d restores were killed", kills)
	}
	return fmt.Sprintf("%d restores killed, %d starts refused until it was done again, 0 acks lost", kills, refused)
}
