package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"time"
)

const trafficHelp = `usage: moveris-sim traffic --socket PATH --webhook-url URL --secret-file FILE [flags]

Has sessions checked at a running "moveris-sim serve", announces them to
moverisd, treats their webhooks badly, waits until moverisd has settled all and
compares every session with moverisd's answer. Exit code 0 says that every one
is accounted for, 1 that some are not or that the run failed, 64 a wrong command
line; a signal ends it with 128 and the signal's number.

--lose, --delay, --duplicate and --reorder are parts of all sessions and add up;
a forged delivery comes beside the true one, tells the opposite and must be
answered 401. The same --seed decides the same; ids are new in each run.

Examples:

  moveris-sim traffic --socket /run/moverisd/moverisd.sock \
      --webhook-url http://127.0.0.1:8480/api/moveris/webhook --secret-file secret

  moveris-sim traffic --sessions 300 --duration 30s --seed 7 \
      --lose 0.30 --delay 0.10 --duplicate 0.10 --reorder 0.05 --forge 0.05 \
      --socket moverisd.sock --secret-env WEBHOOK_SECRET \
      --webhook-url http://127.0.0.1:8480/api/moveris/webhook --output json

Flags:
`

// timing says how long things take in a run.
type timing struct {
	duration      time.Duration // in which all sessions begin
	processingMax time.Duration // a check takes a tenth of it to all of it
	delay         time.Duration // of delayed webhooks, on average
	againAfter    time.Duration // between two verifications of one session
	settle        time.Duration // how long to wait for moverisd in the end
}

// trafficConfig is the checked command line of traffic.
type trafficConfig struct {
	timing
	shares
	sessions   int
	seed       uint64
	api        string
	socket     string
	account    string
	webhookURL string
	secret     secretFlags
	output     string
}

func (c *trafficConfig) bind(fs *flag.FlagSet) {
	fs.IntVar(&c.sessions, "sessions", 300, "`number` of sessions")
	fs.DurationVar(&c.duration, "duration", 30*time.Second, "time in which they begin")
	fs.Uint64Var(&c.seed, "seed", 0, "repeats the decisions of a run; 0 picks one and prints it")
	fs.StringVar(&c.api, "api", "http://127.0.0.1:8491", "`URL` of the running moveris-sim serve")
	fs.StringVar(&c.socket, "socket", "/run/moverisd/moverisd.sock", "moverisd's `socket`")
	fs.StringVar(&c.account, "account", "", "moverisd's `account`, if it has several")
	fs.StringVar(&c.webhookURL, "webhook-url", "", "moverisd's webhook `URL`; left out, the one serve has")
	c.secret.bind(fs, "secret", "the webhook secret", false)
	fs.StringVar(&c.output, "output", "text", "text or json")
	fs.StringVar(&c.output, "o", "text", "short for --output")
	c.shares.bind(fs)
	fs.DurationVar(&c.processingMax, "processing-max", 2*time.Second, "longest time a check takes")
	fs.DurationVar(&c.timing.delay, "delay-by", 8*time.Second, "how late delayed webhooks are on average")
	fs.DurationVar(&c.againAfter, "again-after", 12*time.Second, "pause before a second verification; above 10s they are told apart by time alone")
	fs.DurationVar(&c.settle, "settle-timeout", 90*time.Second, "how long moverisd may take to settle all, from the last webhook on")
}

func (s *shares) bind(fs *flag.FlagSet) {
	share := func(p *float64, name string, value float64, what string) {
		fs.Float64Var(p, name, value, "`share` of "+what)
	}
	share(&s.lose, "lose", 0.30, "sessions whose webhook is lost")
	share(&s.delay, "delay", 0.10, "sessions whose webhook is late")
	share(&s.duplicate, "duplicate", 0.10, "sessions whose webhook comes two or three times")
	share(&s.reorder, "reorder", 0.05, "sessions whose webhook comes before the announcement or after a later one's")
	share(&s.forge, "forge", 0.05, "sessions for which a forged webhook comes too")
	share(&s.fake, "fake", 0.30, "fake verdicts")
	share(&s.inconclusive, "inconclusive", 0.03, "verdicts that say inconclusive")
	share(&s.null, "null", 0.02, "verdicts that are null")
	share(&s.failed, "failed", 0.05, "processing errors (verification.failed)")
	share(&s.withJobID, "with-job-id", 0, "sessions announced with their job id")
	share(&s.again, "again", 0, "sessions with a second, later verification under the same id")
	share(&s.unfinished, "unfinished", 0, "checks that never finish, about which moverisd must say nothing")
}

func (c *trafficConfig) check() error {
	u, err := url.Parse(c.api)
	switch {
	case c.sessions < 1 || c.sessions > 1_000_000:
		return errors.New("--sessions must be from 1 to 1000000")
	case c.duration < 0 || c.processingMax < 0 || c.timing.delay < 0 || c.againAfter < 0 || c.settle < 0:
		return errors.New("durations must not be negative")
	case c.socket == "":
		return errors.New("--socket is needed")
	case err != nil || u.Host == "":
		return errors.New("--api must be a URL such as http://127.0.0.1:8491")
	case c.output != "text" && c.output != "json":
		return errors.New("--output is text or json")
	}
	return c.shares.check()
}

// runTraffic is the command: flags in, a report out.
func runTraffic(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c trafficConfig
	fs := newFlagSet("traffic", trafficHelp, stderr)
	c.bind(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return usageError{err}
	}
	secret, err := c.secret.read()
	if err != nil {
		return err
	}
	if (secret == "") != (c.webhookURL == "") {
		return usageError{errors.New("--webhook-url and --secret-file (or --secret-env) go together")}
	}
	if c.seed == 0 {
		c.seed = rand.Uint64N(1_000_000) + 1
	}
	fmt.Fprintf(stderr, "moveris-sim: %d sessions in %s, seed %d\n", c.sessions, c.duration, c.seed)
	rep, err := newTraffic(c, secret, stderr).run(ctx)
	if err != nil {
		return err
	}
	if err := rep.write(stdout, c.output); err != nil {
		return err
	}
	if !rep.Accounted {
		return errReported
	}
	return nil
}
