package forward

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/moverisd/moverisd/internal/store"
)

var chaosSessions = flag.Int("chaos.sessions", 300, "sessions of TestChaos; issue 8 asks for 10000")

const asChild = "MOVERISD_TEST_FORWARD_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(asChild); path != "" {
		child(path, os.Getenv("TARGET"))
		return
	}
	os.Exit(m.Run())
}

// eventsEach is how many events each session of TestChaos has.
const eventsEach = 3

// child is a process with a store, a forwarder and applications that make events; it is
// killed at any point. It says "all" when all events are made, and "done" when none is pending.
func child(path, target string) {
	ctx := context.Background()
	st, err := store.Open(ctx, store.Options{Path: path, Forwarding: forwardingOf("backend")})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	f := New(Options{Store: st})
	f.timing = quick()
	f.timing.attempt = 300 * time.Millisecond
	f.Configure([]Target{{"backend", target, [][]byte{[]byte("chaos")}}})
	total, _ := strconv.Atoi(os.Getenv("SESSIONS"))
	made, err := madeBefore(ctx, st)
	if err != nil {
		fmt.Println("events:", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < total; i += 8 {
				id := fmt.Sprint("s", i)
				for n := 1; n <= eventsEach && made[id] < eventsEach; n++ {
					// What an earlier process has made is a redelivery.
					if err := settle(st, id, n); err != nil {
						fmt.Println("settle:", err)
						os.Exit(1)
					}
				}
			}
		})
	}
	wg.Wait()
	fmt.Println("all")
	for {
		list, err := st.ForwardFigures(ctx)
		if err == nil && len(list) == 1 && list[0].Pending == 0 {
			f.Stop(ctx)
			if wrong, err := st.Verify(ctx); err != nil || len(wrong) > 0 {
				fmt.Println("verify:", wrong, err)
				os.Exit(1)
			}
			fmt.Println("done", list[0].DeadLetters)
			st.Close()
			os.Exit(0)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// madeBefore counts the events of each session that earlier processes have made. Without it
// each process would spend its life on redeliveries alone.
func madeBefore(ctx context.Context, st *store.Store) (map[string]int, error) {
	made := map[string]int{}
	for after := int64(-1); ; {
		list, err := st.Events(ctx, after, store.EventsMax)
		if err != nil || len(list) == 0 {
			return made, err
		}
		for _, e := range list {
			made[e.SessionID]++
			after = e.Seq
		}
	}
}

// Whatever the target does, and however often the process is killed: every event arrives at
// least once, in order for its session, and the ids make it exactly once.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills processes")
	}
	wh, err := standardwebhooks.NewWebhookRaw([]byte("chaos"))
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{t: t, wh: wh, first: map[string][]int64{}, seen: map[string]map[string][]byte{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	path := filepath.Join(t.TempDir(), "moverisd.db")
	srv := &http.Server{Handler: l}
	go srv.Serve(ln)
	// More sessions take longer, so there are more processes, which live longer.
	killsMax, lifeMax := max(8, *chaosSessions/100), 700+min(*chaosSessions/2, 5000)
	kills, restarts, start := 0, 0, time.Now()
	for done := false; !done; {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asChild+"="+path, "TARGET=http://"+addr+"/", "SESSIONS="+strconv.Itoa(*chaosSessions))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := make(chan string, 8)
		go func() {
			defer close(said)
			for s := bufio.NewScanner(out); s.Scan(); {
				said <- s.Text()
			}
		}()
		life := time.After(time.Duration(200+rand.IntN(lifeMax)) * time.Millisecond)
		if kills >= killsMax {
			life = nil
		}
		for alive := true; alive; {
			select {
			case line, ok := <-said:
				if !ok {
					alive = false
				} else if line == "done 0" {
					done = true
				} else if line != "all" {
					t.Fatal(line)
				}
			case <-life:
				kills++
				cmd.Process.Kill()
				life = nil
			case <-time.After(150 * time.Millisecond): // the target is killed and comes back
				if rand.IntN(3) == 0 {
					srv.Close()
					time.Sleep(50 * time.Millisecond)
					if ln, err = net.Listen("tcp", addr); err != nil {
						t.Fatal(err)
					}
					srv = &http.Server{Handler: l}
					go srv.Serve(ln)
					restarts++
				}
			}
		}
		_ = cmd.Wait()
		if time.Since(start) > 20*time.Minute {
			cmd.Process.Kill()
			t.Fatal("it never ends")
		}
	}
	srv.Close()
	t.Logf("%d sessions in %s: the process was killed %d times, the target %d times; %s",
		*chaosSessions, time.Since(start).Round(time.Second), kills, restarts, l.check())
}
