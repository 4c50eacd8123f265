package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

const loadHelp = `usage: moveris-sim load --webhook-url URL --secret-file FILE [flags]

Sends signed deliveries, each with a body of its own, as fast as they are
answered or at a fixed rate, and says how many were acknowledged and how long
that took. All bodies are made and signed before the first is sent. Exit code 1
if one was not answered with 2xx.

--pid names the process that is measured: its processor time for each delivery
and its memory are reported, too.

Examples:

  moveris-sim load --webhook-url http://127.0.0.1:8480/api/moveris/webhook --secret-file secret
  moveris-sim load --rate 1000 --duration 10s --output json \
      --webhook-url http://127.0.0.1:8480/api/moveris/webhook --secret-file secret

Flags:
`

// loadConfig is the command line of load.
type loadConfig struct {
	load   sim.Load
	secret secretFlags
	pid    int
	output string
}

func (c *loadConfig) bind(fs *flag.FlagSet) {
	fs.StringVar(&c.load.URL, "webhook-url", "http://127.0.0.1:8480/api/moveris/webhook", "`URL` for the deliveries, loopback only")
	c.secret.bind(fs, "secret", "the webhook secret", false)
	fs.IntVar(&c.load.Connections, "connections", 64, "`number` of connections, each with one delivery at a time")
	fs.DurationVar(&c.load.Duration, "duration", 3*time.Second, "how long to send")
	fs.IntVar(&c.load.Requests, "requests", 100_000, "most deliveries, about 2 KiB of memory each; they end the load early")
	fs.Float64Var(&c.load.Rate, "rate", 0, "deliveries a second, whether or not the earlier ones are answered; 0 sends\nas fast as they are")
	fs.Uint64Var(&c.load.First, "first", 0, "number of the first session; a number always means the same id")
	fs.Uint64Var(&c.load.Known, "known", 0, "draw sessions from this many instead of going on to the next")
	fs.IntVar(&c.load.Size, "size", 550, "`bytes` of a body, about")
	fs.Uint64Var(&c.load.Seed, "seed", 1, "decides which sessions --known draws")
	fs.IntVar(&c.pid, "pid", 0, "process that is measured")
	fs.StringVar(&c.output, "output", "text", "text or json")
	fs.StringVar(&c.output, "o", "text", "short for --output")
}

// loadReport is what load prints; times are in milliseconds.
type loadReport struct {
	Connections int         `json:"connections"`
	Rate        float64     `json:"rate"` // asked for; 0: as fast as it went
	Acked       int         `json:"acked"`
	Seconds     float64     `json:"seconds"`
	PerSecond   float64     `json:"per_second"`
	Latency     latencies   `json:"latency_ms"`
	Answers     map[int]int `json:"answers"`
	Unanswered  int         `json:"unanswered"`
	UsedUp      bool        `json:"used_up"` // all prepared deliveries were sent before the time was over
	Server      *used       `json:"server,omitempty"`
}

type latencies struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// runLoad is the command: flags in, a report out.
func runLoad(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c loadConfig
	fs := newFlagSet("load", loadHelp, stderr)
	c.bind(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	if c.output != "text" && c.output != "json" {
		return usageError{errors.New("--output is text or json")}
	}
	var err error
	if c.load.Secret, err = c.secret.read(); err != nil {
		return err
	}
	if err := c.load.Check(); err != nil {
		return usageError{err}
	}
	report, err := c.run(ctx)
	if err != nil {
		return err
	}
	if err := report.print(stdout, c.output); err != nil {
		return err
	}
	if !report.allAcked() {
		fmt.Fprintf(stderr, "moveris-sim: not every delivery was acknowledged: %v, %d without an answer\n", report.Answers, report.Unanswered)
		return errReported
	}
	return ctx.Err()
}

func (c *loadConfig) run(ctx context.Context) (*loadReport, error) {
	var before, after used
	var problem error
	look := func(u *used) func() {
		return func() {
			if c.pid == 0 {
				return
			}
			var err error
			*u, err = usageOf(c.pid)
			problem = errors.Join(problem, err)
		}
	}
	c.load.Before, c.load.After = look(&before), look(&after)
	result, err := c.load.Run(ctx)
	if err = errors.Join(err, problem); err != nil {
		return nil, err
	}
	report := reportLoad(&c.load, result)
	if c.pid != 0 {
		after.since(before, report.Acked)
		report.Server = &after
	}
	return report, nil
}

func reportLoad(l *sim.Load, r sim.LoadResult) *loadReport {
	slices.Sort(r.Latencies)
	at := func(share float64) float64 {
		if len(r.Latencies) == 0 {
			return 0
		}
		i := int(math.Ceil(share*float64(len(r.Latencies)))) - 1
		return round(float64(r.Latencies[max(i, 0)])/float64(time.Millisecond), 3)
	}
	return &loadReport{Connections: l.Connections, Rate: l.Rate, Acked: len(r.Latencies),
		Seconds: round(r.Took.Seconds(), 3), PerSecond: round(float64(len(r.Latencies))/r.Took.Seconds(), 1),
		Latency: latencies{at(0.50), at(0.95), at(0.99), at(1)},
		Answers: r.Answers, Unanswered: r.Failed, UsedUp: r.UsedUp}
}

func (r *loadReport) allAcked() bool {
	sent := r.Unanswered
	for _, n := range r.Answers {
		sent += n
	}
	return r.Acked > 0 && r.Acked == sent
}

func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}

func (r *loadReport) print(w io.Writer, form string) error {
	if form == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, "%d acknowledged in %.1f s over %d connections: %.0f a second; latency p50 %.1f ms, p95 %.1f, p99 %.1f, max %.1f\n",
		r.Acked, r.Seconds, r.Connections, r.PerSecond, r.Latency.P50, r.Latency.P95, r.Latency.P99, r.Latency.Max)
	if err == nil && r.Server != nil {
		_, err = fmt.Fprintf(w, "the process used %.0f µs of processor time for each, and has %.1f MiB of memory\n", r.Server.CPU, r.Server.Memory)
	}
	return err
}
