package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/moverisd/moverisd/internal/sim"
)

const serveHelp = `usage: moveris-sim serve --api-key KEY [flags]

Plays Moveris on a loopback address until it is stopped:

  GET /api/v1/result/{id}            the result of a job (or session, see --result-by-session)
  GET /api/v1/result/{id}/wait       the same as a long poll, ?timeout=S up to 120
  GET /api/v1/sessions/{id}          404 unless --session-route
  POST /api/v1/fast-check            a check with its frames, the verdict in the answer
  POST /api/v1/fast-check-stream     the same, one frame at a time
  GET /api/v1/models, /api/v1/queue/stats, /health

Control, no part of Moveris, without a key:

  POST   /_sim/sessions              {"session_id","job_id","model"}, all optional
  GET    /_sim/sessions/{id}
  POST   /_sim/sessions/{id}/finish  {"outcome":"live|fake|inconclusive|null|failed|expired|cancelled"}
  POST   /_sim/sessions/{id}/deliver {"verification":0,"forge":""|"secret"|"bit"}
  PUT    /_sim/check                 {"outcome"}: how the checks to come end; live from the start
  PUT    /_sim/webhook               {"url","secret"}: where deliveries go
  GET    /_sim/faults                what is on, and every known name
  PUT    /_sim/faults                replace: status-503:0.3,drip or a JSON list
  DELETE /_sim/faults                none
  GET    /_sim/stats                 ?window=60s: the most requests in any such window
  GET    /_sim/requests              the request log; DELETE empties it

Faults are NAME[=VALUE][:SHARE], a share of the requests with a decimal point.

Examples:

  moveris-sim serve --api-key sk-sim
  moveris-sim serve --api-key-file key --fault hang:0.1,status-503:0.3
  curl -X PUT --data 'retry-after=year9999' http://127.0.0.1:8491/_sim/faults
  curl 'http://127.0.0.1:8491/_sim/stats?window=60s'

Flags:
`

// serveFlags is the command line of serve.
type serveFlags struct {
	listen     string
	key        secretFlags
	webhookURL string
	secret     secretFlags
	bySession  bool
	byState    bool
	perMinute  int
	faults     string
	tlsExpired bool
	seed       uint64
}

func (f *serveFlags) bind(fs *flag.FlagSet) {
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8491", "loopback `address` to listen on; port 0 picks one")
	f.key.bind(fs, "api-key", "the key that X-API-Key must hold", true)
	fs.StringVar(&f.webhookURL, "webhook-url", "", "loopback `URL` for deliveries; traffic can set it too")
	f.secret.bind(fs, "secret", "the webhook secret", false)
	fs.BoolVar(&f.bySession, "result-by-session", true, "let the result routes take session ids")
	fs.BoolVar(&f.byState, "session-route", false, "let /api/v1/sessions/{id} answer, with MCP states")
	fs.IntVar(&f.perMinute, "rate", 240, "requests a minute for the key; -1 for no limit")
	fs.StringVar(&f.faults, "fault", "", "faults to start with, `list` separated by commas; known are\n"+wrap(sim.FaultNames()))
	fs.BoolVar(&f.tlsExpired, "tls-expired", false, "speak HTTPS with a certificate that has run out")
	fs.Uint64Var(&f.seed, "seed", 1, "decides which requests a fault with a share strikes")
}

func runServe(ctx context.Context, args []string, stderr io.Writer) error {
	var f serveFlags
	fs := newFlagSet("serve", serveHelp, stderr)
	f.bind(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	m, err := f.build()
	if err != nil {
		return err
	}
	ln, err := sim.Listen(f.listen, f.tlsExpired)
	if err != nil {
		return err
	}
	scheme := "http"
	if f.tlsExpired {
		scheme = "https"
	}
	fmt.Fprintf(stderr, "moveris-sim: Moveris on %s://%s, control under /_sim/\n", scheme, ln.Addr())
	return m.Serve(ctx, ln)
}

// build turns the flags into a Moveris.
func (f *serveFlags) build() (*sim.Moveris, error) {
	key, err := f.key.read()
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, usageError{errors.New("an API key is needed: --api-key, --api-key-file or --api-key-env")}
	}
	secret, err := f.secret.read()
	if err != nil {
		return nil, err
	}
	faults, err := sim.ParseFaults(f.faults)
	if err != nil {
		return nil, usageError{err}
	}
	m := sim.New(sim.Config{
		APIKey: key, ResultBySession: f.bySession, SessionRoute: f.byState,
		RequestsPerMinute: f.perMinute, Faults: faults, Seed: f.seed,
	})
	if f.webhookURL != "" || secret != "" {
		if err := m.Register(f.webhookURL, secret); err != nil {
			return nil, usageError{err}
		}
	}
	return m, nil
}

// newFlagSet prints help and flags to stderr; it leaves ending to the caller.
func newFlagSet(name, help string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("moveris-sim "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		var flags strings.Builder
		fs.SetOutput(&flags)
		fs.PrintDefaults()
		fs.SetOutput(stderr)
		// The flag package shows one dash; this project writes two.
		fmt.Fprint(stderr, help, strings.ReplaceAll("\n"+flags.String(), "\n  -", "\n  --")[1:])
	}
	return fs
}

// wrap breaks a list of names into lines for a help text.
func wrap(names []string) string {
	var b strings.Builder
	width := 0
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
			if width += len(n) + 2; width > 68 {
				b.WriteString("\n")
				width = 0
			}
		}
		b.WriteString(n)
	}
	return b.String()
}
