package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// damage is what is done to the files of a stopped store.
type damage struct {
	name string
	do   func(t *testing.T, path string, r *rand.Rand)
	// refused says that the start must be refused with one of these codes; none means that it
	// may succeed too, if nothing wrong is served.
	refused []int
	// mayForget says that the damage takes away acknowledged deliveries in a way that nobody
	// can see: a log that is gone looks like a log that never was.
	mayForget bool
	once      bool // no need to repeat it
}

func damages() []damage {
	return []damage{
		{name: "flipped byte in the header", do: func(t *testing.T, path string, r *rand.Rand) { flip(t, path, r.Int64N(16), r) }, refused: []int{65}},
		{name: "flipped byte in a page", do: func(t *testing.T, path string, r *rand.Rand) { flip(t, path, 100+r.Int64N(sizeOf(t, path)-100), r) }},
		{name: "64 flipped bytes", do: func(t *testing.T, path string, r *rand.Rand) {
			for range 64 {
				flip(t, path, 100+r.Int64N(sizeOf(t, path)-100), r)
			}
		}},
		{name: "flipped byte in the log", do: func(t *testing.T, path string, r *rand.Rand) {
			flip(t, path+"-wal", r.Int64N(sizeOf(t, path+"-wal")), r)
		}, mayForget: true},
		{name: "truncated to a part", do: func(t *testing.T, path string, r *rand.Rand) {
			must(t, os.Truncate(path, 4096*(2+r.Int64N(sizeOf(t, path)/4096-4))))
		}},
		{name: "truncated in a page", do: func(t *testing.T, path string, r *rand.Rand) {
			must(t, os.Truncate(path, 8192+r.Int64N(sizeOf(t, path)-8192)|1))
		}},
		{name: "deleted log", do: func(t *testing.T, path string, _ *rand.Rand) { must(t, os.Remove(path+"-wal")) }, mayForget: true},
		{name: "garbage log", do: func(t *testing.T, path string, r *rand.Rand) { garbage(t, path+"-wal", r) }, mayForget: true},
		{name: "garbage", do: func(t *testing.T, path string, r *rand.Rand) { garbage(t, path, r) }, refused: []int{65}},
		{name: "half a header", do: func(t *testing.T, path string, _ *rand.Rand) { must(t, os.Truncate(path, 50)) }, refused: []int{65}, once: true},
		{name: "emptied", do: func(t *testing.T, path string, _ *rand.Rand) { must(t, os.Truncate(path, 0)) }, refused: []int{65}, once: true},
		{name: "a page from elsewhere", do: func(t *testing.T, path string, r *rand.Rand) {
			data, err := os.ReadFile(path)
			must(t, err)
			n := int64(len(data)/4096) - 1
			from, to := 1+r.Int64N(n), 1+r.Int64N(n)
			copy(data[to*4096:(to+1)*4096], bytes.Clone(data[from*4096:(from+1)*4096]))
			must(t, os.WriteFile(path, data, 0o600))
		}},
		{name: "another's file", do: func(t *testing.T, path string, _ *rand.Rand) { must(t, os.Chown(path, 65534, 65534)) }, refused: []int{78}, once: true},
		{name: "readable by all", do: func(t *testing.T, path string, _ *rand.Rand) { must(t, os.Chmod(path, 0o666)) }, refused: []int{78}, once: true},
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func flip(t *testing.T, path string, at int64, r *rand.Rand) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= byte(1 + r.IntN(255))
	_, err = f.WriteAt(b, at)
	must(t, err)
}

func garbage(t *testing.T, path string, r *rand.Rand) {
	t.Helper()
	data := make([]byte, 40_000)
	for i := range data {
		data[i] = byte(r.IntN(256))
	}
	must(t, os.WriteFile(path, data, 0o600))
}

// faultCorrupt damages stores in every way and starts a daemon on them. It serves the truth or
// nothing, and a restore brings back what a backup and the damaged file hold.
func faultCorrupt(t *testing.T) string {
	seed := rand.Uint64N(1 << 32)
	r := rand.New(rand.NewPCG(seed, 7))
	master := newVictim(t, "", nil)
	master.run()
	backup := filepath.Join(master.dir, "backup.db")
	for i := range 150 {
		master.deliver(fmt.Sprintf("c-%d", i), []string{"live", "fake"}[i%2])
	}
	master.kill() // its log stays
	withStore(t, master, func(ctx context.Context, st *store.Store) error { return st.Backup(ctx, backup) })
	master.run()
	inBackup := master.ledger.size()
	for i := range 150 {
		master.deliver(fmt.Sprintf("d-%d", i), []string{"live", "fake"}[i%2])
	}
	master.kill()
	ran, refused, clean, restored, salvaged := 0, map[int]int{}, 0, 0, int64(0)
	for _, d := range damages() {
		for i := range either(4, 30) {
			if d.once && i > 0 {
				break
			}
			ran++
			v := newVictim(t, "", nil)
			v.ledger = master.ledger.copy()
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(master.store() + suffix)
				must(t, err)
				must(t, os.WriteFile(v.store()+suffix, data, 0o600))
			}
			d.do(t, v.store(), r)
			code := v.serveDamaged(d)
			if code == 0 {
				clean++
				continue
			}
			refused[code]++
			if len(d.refused) == 0 && code != 65 || len(d.refused) > 0 && !contains(d.refused, code) {
				t.Errorf("%s (seed %d): exit code %d\n%s", d.name, seed, code, v.running.text())
			}
			if text := v.running.text(); code == 65 && !strings.Contains(text, "restore") {
				t.Errorf("%s: the message does not name the way back:\n%s", d.name, text)
			}
			if code == 65 {
				n := restoreDamaged(t, v, backup)
				salvaged += n
				restored++
			}
		}
	}
	return fmt.Sprintf("%d damaged stores: %d refused with 65, %d with 78, %d served nothing but the truth; %d restored, with %d of %d acks of the backup and %d records salvaged",
		ran, refused[65], refused[78], clean, restored, inBackup, inBackup, salvaged)
}

func contains(list []int, n int) bool {
	for _, have := range list {
		if have == n {
			return true
		}
	}
	return false
}

// serveDamaged starts a daemon on a damaged store and asks it for everything. It returns the
// exit code, 0 if all that was served was true.
func (v *victim) serveDamaged(d damage) int {
	v.t.Helper()
	p, ok := v.up()
	if ok {
		wrong, absent := v.askAll()
		if wrong > 0 || absent > 0 && !d.mayForget {
			v.t.Errorf("%s: %d sessions were served wrong, %d as unknown", d.name, wrong, absent)
		}
		if len(d.refused) > 0 {
			v.t.Errorf("%s: the daemon started", d.name)
		}
		if p.over() {
			code, err := p.wait(time.Second)
			must(v.t, err)
			return code
		}
		// Found out while it serves, it ends by itself.
		_ = v.deliver("more", "live")
		select {
		case <-p.ended:
		case <-time.After(300 * time.Millisecond):
			v.kill()
			return 0
		}
	}
	code, err := p.wait(15 * time.Second)
	must(v.t, err)
	return code
}

// askAll asks for every acknowledged session: how many have another outcome, and how many are
// not known. An error is no answer.
func (v *victim) askAll() (wrong, absent int) {
	c := v.control
	for id, want := range v.ledger.acked {
		code, data := v.send(c, "GET", "/v1/sessions/"+id, nil)
		var got struct {
			Outcome *string `json:"outcome"`
		}
		switch {
		case code == 404:
			absent++
		case code == 200 && (json.Unmarshal(data, &got) != nil || got.Outcome == nil || *got.Outcome != want):
			wrong++
		case code == 0:
			return wrong, absent
		}
	}
	return wrong, absent
}

// restoreDamaged restores the backup over a damaged store: all of the backup is there, nothing
// contradicts the ledger, and the next daemon serves it.
func restoreDamaged(t *testing.T, v *victim, backup string) int64 {
	t.Helper()
	before, err := os.ReadFile(v.store())
	must(t, err)
	out, err := store.Restore(t.Context(), v.store(), backup, nil, time.Now())
	if err != nil {
		t.Errorf("restore: %v", err)
		return 0
	}
	if kept, err := os.ReadFile(out.Aside); err != nil || !bytes.Equal(kept, before) && out.Lost == "" && out.Salvaged == 0 {
		t.Errorf("the damaged store was not kept aside: %v", err)
	}
	all := v.ledger
	v.ledger = newLedger()
	for id, verdict := range all.acked {
		if strings.HasPrefix(id, "c-") {
			v.ledger.ack(id, verdict)
		}
	}
	if err := v.audit(); err != nil {
		t.Errorf("after the restore: %v", err)
	}
	v.ledger = all
	v.run()
	if wrong, _ := v.askAll(); wrong > 0 {
		t.Errorf("after the restore %d sessions are served wrong", wrong)
	}
	if code := v.stop(); code != 0 {
		t.Errorf("after the restore: exit code %d", code)
	}
	return out.Salvaged
}
