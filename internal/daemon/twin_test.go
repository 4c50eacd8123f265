package daemon

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/webhook"
)

// The test binary of this package is also the programs that scripts/bench.sh measures moverisd
// against. All have moverisd's own listener, with its limits, its check of signatures and its
// parser, and differ in what becomes of a delivery that passes them: "bare" stores nothing,
// "naive" makes a transaction for each, and "store" is moverisd without the rest of the daemon,
// to be profiled.
var (
	twin       = flag.String("twin", "", "serve as this `twin` instead of running tests: bare, naive or store")
	twinListen = flag.String("twin.listen", "127.0.0.1:0", "the twin's `address`")
	twinSecret = flag.String("twin.secret", "", "`file` with the twin's webhook secret")
	twinStore  = flag.String("twin.store", "", "`file` of the twin's store")
	twinCPU    = flag.String("twin.cpuprofile", "", "`file` for a profile of the twin")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *twin == "" {
		os.Exit(m.Run())
	}
	if err := serveTwin(); err != nil {
		fmt.Fprintln(os.Stderr, "twin:", err)
		os.Exit(1)
	}
}

func serveTwin() error {
	secret, err := os.ReadFile(*twinSecret)
	if err != nil {
		return err
	}
	var to webhook.Sink
	switch *twin {
	case "bare":
		to = bareSink()
	case "naive":
		db, err := openNaive(*twinStore)
		if err != nil {
			return err
		}
		defer db.Close()
		to = naiveSink(db)
	case "store":
		st, err := store.Open(context.Background(), store.Options{Path: *twinStore})
		if err != nil {
			return err
		}
		defer st.Close()
		to = sink(st)
	default:
		return fmt.Errorf("no twin is called %q", *twin)
	}
	h := webhook.New(webhook.Settings{Path: "/api/moveris/webhook", BodyMax: 256 << 10, Accounts: []string{"bench"},
		Verifier:   moveris.NewVerifier([]moveris.Secret{{Label: "bench", Key: secret}}),
		StaleAfter: 90 * 24 * time.Hour, RepeatAfter: 15 * time.Second}, to, time.Now)
	srv := webhook.NewServer(h, slog.New(slog.DiscardHandler), nil)
	ln, err := net.Listen("tcp", *twinListen)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		srv.Close()
	}()
	if *twinCPU != "" {
		f, err := os.Create(*twinCPU)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bareSink stores nothing: the most that a handler in Go with our limits can acknowledge.
func bareSink() webhook.Sink {
	return webhook.Sink{
		Apply:  func(context.Context, webhook.Accepted) error { return nil },
		Keep:   func(context.Context, webhook.Loose) error { return errors.New("the load has only known events") },
		Reject: func(string) {},
	}
}

// openNaive opens a store as a first attempt would make it: text keys, times as text, the
// indexes that its queries seem to want, and as durable as moverisd's.
func openNaive(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // several would mostly wait for each other's locks
	_, err = db.Exec(`CREATE TABLE deliveries (id INTEGER PRIMARY KEY, account TEXT, session_id TEXT, digest TEXT UNIQUE, body TEXT, received_at TEXT);
		CREATE INDEX deliveries_by_session ON deliveries (session_id);
		CREATE TABLE sessions (account TEXT, session_id TEXT, state TEXT, outcome TEXT, updated_at TEXT, PRIMARY KEY (account, session_id));
		CREATE INDEX sessions_by_state ON sessions (state);
		CREATE TABLE events (seq INTEGER PRIMARY KEY, session_id TEXT, change TEXT, at TEXT);`)
	return db, err
}

// naiveSink makes a transaction for each delivery.
func naiveSink(db *sql.DB) webhook.Sink {
	sink := bareSink()
	sink.Apply = func(ctx context.Context, a webhook.Accepted) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		at := a.Observation.ObservedAt.Format(time.RFC3339Nano)
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{`INSERT INTO deliveries (account, session_id, digest, body, received_at) VALUES (?, ?, ?, ?, ?)`,
				[]any{a.Account, a.SessionID, fmt.Sprintf("%x", a.Observation.Digest), string(a.Body), at}},
			{`INSERT INTO sessions VALUES (?, ?, 'settled', ?, ?) ON CONFLICT DO UPDATE SET state = 'settled', outcome = excluded.outcome, updated_at = excluded.updated_at`,
				[]any{a.Account, a.SessionID, a.Observation.Verdict, at}},
			{`INSERT INTO events (session_id, change, at) VALUES (?, 'settled', ?)`, []any{a.SessionID, at}},
		} {
			if _, err := tx.ExecContext(ctx, step.sql, step.args...); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	return sink
}
