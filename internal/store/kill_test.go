package store

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/verdict"
)

var kills = flag.Int("store.kills", 20, "how often the child that writes is killed")

const killEnv = "MOVERISD_TEST_KILL"

// TestKilledChild is the child of TestKill: it applies deliveries from several goroutines and
// prints the id of each that was acknowledged.
func TestKilledChild(t *testing.T) {
	arg := os.Getenv(killEnv)
	if arg == "" {
		t.Skip("only as a child")
	}
	round, path, _ := strings.Cut(arg, ":")
	f := &fixture{t: t, path: path, policy: func(string) verdict.Policy { return testPolicy() }}
	f.clock.Store(time.Now().UnixMilli())
	f.open()
	var mu sync.Mutex
	said := func(id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("ack %s\n", id) // one write, before the next can be killed
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("r%s-w%d-%d", round, w, i)
				mu.Lock()
				in := f.heard(verdict.FormCompleted, id, "live", f.now())
				mu.Unlock()
				in.Body = append(in.Body, make([]byte, i%9000)...)
				_, err := f.Expect(ctx(), Expectation{Account: "production", SessionID: id, At: f.now()})
				must(t, err)
				_, err = f.Apply(ctx(), in)
				must(t, err)
				said(id)
				if i%50 == 49 {
					_, err := f.Prune(ctx(), Retention{Events: time.Millisecond}, f.now())
					must(t, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestKill kills a writing process at random moments, again and again on the same store:
// whatever it has acknowledged is there, and the store is sound.
func TestKill(t *testing.T) {
	f := newFixture(t)
	must(t, f.Close())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	acked := map[string]bool{}
	for round := range *kills {
		before := len(acked)
		killOnce(t, f.path, round, time.Duration(rnd.IntN(150))*time.Millisecond, acked)
		f.open()
		for id := range acked {
			v, err := f.Get(ctx(), "production", id, false)
			if err != nil || v.Session.Outcome != verdict.Live {
				t.Fatalf("round %d: acknowledged %s: %v %v", round, id, v.State, err)
			}
		}
		f.sound()
		f.clock.Store(time.Now().UnixMilli())
		f.webhook(fmt.Sprint("between", round), "live")
		if oldest, last, err := f.EventSpan(ctx()); err != nil || last < oldest-1 {
			t.Errorf("events %d to %d: %v", oldest, last, err)
		}
		must(t, f.Close())
		if t.Failed() {
			t.Fatalf("in round %d, after %d acknowledged", round, len(acked)-before)
		}
	}
	if len(acked) < *kills {
		t.Errorf("only %d were acknowledged in %d rounds", len(acked), *kills)
	}
	t.Logf("%d acknowledged, none lost", len(acked))
}

// killOnce runs the child, kills it some time after its first acknowledgement and adds what
// it has acknowledged.
func killOnce(t *testing.T, path string, round int, after time.Duration, acked map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killEnv+"="+strconv.Itoa(round)+":"+path)
	cmd.Dir = filepath.Dir(path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var once sync.Once
	for lines.Scan() {
		once.Do(func() { time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) })
		id, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			t.Fatalf("the child says: %s", lines.Text())
		}
		acked[id] = true
	}
	_ = cmd.Wait() // killed
}
