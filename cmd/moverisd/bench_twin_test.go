package main

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
	"time"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/webhook"
)

// twinMain serves as one of the programs that moverisd is measured against. All have
// moverisd's own listener, with its limits, its check of signatures and its parser, and differ
// in what becomes of a delivery that passes them: "bare" stores nothing, "naive" makes a
// transaction for each, and "store" is moverisd without the rest of the daemon, to be profiled:
//
//	go test -c -o twin ./cmd/moverisd && ./twin -kind store -secret FILE -store FILE -cpuprofile FILE
func twinMain() {
	var t twin
	fs := flag.NewFlagSet("twin", flag.ExitOnError)
	fs.StringVar(&t.kind, "kind", "bare", "bare, naive or store")
	fs.StringVar(&t.listen, "listen", "127.0.0.1:8480", "`address`")
	fs.StringVar(&t.secret, "secret", "", "`file` with the webhook secret")
	fs.StringVar(&t.store, "store", "", "`file` of the store")
	fs.StringVar(&t.profile, "cpuprofile", "", "`file` for a profile")
	_ = fs.Parse(os.Args[1:]) // it exits
	if err := t.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "twin:", err)
		os.Exit(1)
	}
}

type twin struct{ kind, listen, secret, store, profile string }

func (t *twin) serve() error {
	secret, err := os.ReadFile(t.secret)
	if err != nil {
		return err
	}
	sink, done, err := t.sink()
	if err != nil {
		return err
	}
	defer done()
	h := webhook.New(webhook.Settings{Path: "/api/moveris/webhook", BodyMax: 256 << 10, Accounts: []string{benchAccount},
		Verifier:   moveris.NewVerifier([]moveris.Secret{{Label: "bench", Key: secret}}),
		StaleAfter: 90 * 24 * time.Hour, RepeatAfter: 15 * time.Second}, sink, time.Now)
	srv := webhook.NewServer(h, slog.New(slog.DiscardHandler), nil)
	ln, err := net.Listen("tcp", t.listen)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		srv.Close()
	}()
	if t.profile != "" {
		f, err := os.Create(t.profile)
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

func (t *twin) sink() (webhook.Sink, func() error, error) {
	switch t.kind {
	case "bare":
		return bareSink(), func() error { return nil }, nil
	case "naive":
		db, err := openNaive(t.store)
		if err != nil {
			return webhook.Sink{}, nil, err
		}
		return naiveSink(db), db.Close, nil
	case "store":
		st, err := store.Open(context.Background(), store.Options{Path: t.store})
		if err != nil {
			return webhook.Sink{}, nil, err
		}
		sink := bareSink()
		sink.Apply = func(ctx context.Context, a webhook.Accepted) error {
			_, err := st.Apply(ctx, store.Observed{Account: a.Account, SessionID: a.SessionID, Observation: a.Observation, Body: a.Body})
			return err
		}
		return sink, st.Close, nil
	}
	return webhook.Sink{}, nil, fmt.Errorf("no twin is called %q", t.kind)
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
