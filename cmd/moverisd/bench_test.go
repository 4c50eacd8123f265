package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench is the program behind scripts/bench.sh: it measures moverisd beside a handler that
// stores nothing and a store as a first attempt would make it, and a large store beside a small
// one. What is compared is measured in turns within each round, so that whatever else the
// machine does troubles both alike, and a ratio is the median of the ratios of the rounds.
type bench struct {
	rounds      int
	length      time.Duration // of one load
	connections []int
	small       int // sessions in the stores that are compared
	large       int
	keep        string // directory for the large store, to be used again
	parts       string
	profile     string // file for a profile of the listener with the store

	lab    *lab
	report *benchReport
}

func benchMain() {
	b := bench{report: &benchReport{Values: map[string]values{}}}
	var dir, out, connections string
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	fs.StringVar(&dir, "dir", "", "`directory` with moverisd and moveris-sim, for stores")
	fs.StringVar(&out, "json", "", "`file` for the figures")
	fs.IntVar(&b.rounds, "rounds", 5, "rounds")
	fs.DurationVar(&b.length, "length", 2*time.Second, "length of one load")
	fs.StringVar(&connections, "connections", "1,16,64,256", "connections")
	fs.IntVar(&b.small, "small", 10_000, "sessions in the small store")
	fs.IntVar(&b.large, "large", 1_000_000, "sessions in the large store")
	fs.StringVar(&b.keep, "keep", "", "`directory` in which the large store is kept and found again")
	fs.StringVar(&b.parts, "parts", "load,open,overdue,size", "what to measure")
	fs.StringVar(&b.profile, "profile", "", "`file` for a profile of a delivery, at 64 connections")
	_ = fs.Parse(os.Args[1:]) // it exits
	for c := range strings.SplitSeq(connections, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 {
			fail(fmt.Errorf("-connections: %q is no number of connections", c))
		}
		b.connections = append(b.connections, n)
	}
	if err := b.run(dir); err != nil {
		fail(err)
	}
	b.report.print(os.Stdout)
	if out != "" {
		data, err := json.MarshalIndent(b.report, "", "  ")
		if err == nil {
			err = os.WriteFile(out, append(data, '\n'), 0o644)
		}
		if err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func (b *bench) run(dir string) (err error) {
	if b.lab, err = newLab(dir); err != nil {
		return err
	}
	r := b.report
	r.Machine = fmt.Sprintf("%d processors, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	r.Rounds, r.Seconds = b.rounds, b.length.Seconds()
	for _, part := range []struct {
		name string
		run  func() error
	}{{"load", b.loads}, {"open", b.open}, {"overdue", b.overdue}, {"size", b.sizes}} {
		if !strings.Contains(b.parts, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.profiled()
}

// profiled writes a profile of moverisd's listener and store.
func (b *bench) profiled() error {
	if b.profile == "" {
		return nil
	}
	progress("profile: 64 connections")
	b.lab.profile = b.profile
	if _, err := b.fresh("store", "--connections", "64"); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	b.report.Notes = append(b.report.Notes, "where the time of a delivery goes: go tool pprof -top -cum "+b.profile)
	return nil
}

// loads measures all programs with as many connections as there are, as fast as they answer.
func (b *bench) loads() error {
	kinds := []string{"bare", "moverisd", "naive"}
	for round := range b.rounds {
		for _, c := range b.connections {
			for _, kind := range turn(round, kinds...) {
				progress("round %d of %d: %s, %d connections", round+1, b.rounds, kind, c)
				r, err := b.fresh(kind, "--connections", strconv.Itoa(c))
				if err != nil {
					return err
				}
				b.report.load(fmt.Sprintf("%s, %d connections", kind, c), r)
			}
		}
	}
	for _, c := range b.connections {
		at := fmt.Sprintf(", %d connections", c)
		switch c {
		case 64:
			b.report.ratio("acked ÷ bare"+at, "moverisd"+at+" acked_per_second", "bare"+at+" acked_per_second", 0.55, 0.65)
			b.report.ratio("acked ÷ naive"+at, "moverisd"+at+" acked_per_second", "naive"+at+" acked_per_second", 5, 7)
			b.report.ratioMax("p99 ÷ bare's p99"+at, "moverisd"+at+" p99_ms", "bare"+at+" p99_ms", 1.3, 1.0)
		case 256:
			b.report.ratio("acked ÷ bare"+at, "moverisd"+at+" acked_per_second", "bare"+at+" acked_per_second", 0.60, 0.70)
		default:
			b.report.ratio("acked ÷ bare"+at, "moverisd"+at+" acked_per_second", "bare"+at+" acked_per_second", 0, 0)
		}
		b.report.ratioMax("processor time ÷ bare's"+at, "moverisd"+at+" cpu_us", "bare"+at+" cpu_us", 0, 0)
	}
	return b.fsyncs()
}

// turn is the order of a round: each is first, second and last in turn.
func turn(round int, names ...string) []string {
	k := round % len(names)
	return append(slices.Clone(names[k:]), names[:k]...)
}

// fresh starts a program on an empty store, warms it up and measures it.
func (b *bench) fresh(kind string, args ...string) (r loadResult, err error) {
	dir := filepath.Join(b.lab.dir, "fresh")
	defer os.RemoveAll(dir)
	s, err := b.lab.start(kind, dir)
	if err != nil {
		return r, err
	}
	r, err = b.warmed(s, 0, args...)
	if err2 := s.stop(); err == nil {
		err = err2
	}
	return r, err
}

// warmed measures a program that has just been started, on sessions from a number on. At first
// the log of a store grows, and each fsync costs twice what it does later.
func (b *bench) warmed(s *server, first int, args ...string) (loadResult, error) {
	if _, err := b.lab.load(s, b.length, append(args, "--first", strconv.Itoa(first+10_000_000))...); err != nil {
		return loadResult{}, err
	}
	return b.lab.load(s, b.length, append(args, "--first", strconv.Itoa(first))...)
}

// open measures latencies at a fixed rate, and what one commit costs on this disk.
func (b *bench) open() error {
	const rate = "1000"
	args := []string{"--rate", rate, "--connections", "64"}
	for round := range b.rounds {
		for _, kind := range turn(round, "bare", "moverisd") {
			progress("round %d of %d: %s, %s a second", round+1, b.rounds, kind, rate)
			r, err := b.fresh(kind, args...)
			if err != nil {
				return err
			}
			b.report.load(kind+", "+rate+" a second", r)
		}
		took, err := commitTime(b.lab.dir)
		if err != nil {
			return err
		}
		b.report.add("one fsynced commit ms", took.Seconds()*1000)
	}
	b.report.ratioMax("open loop, 1,000/s: p99 ÷ one fsynced commit", "moverisd, "+rate+" a second p99_ms", "one fsynced commit ms", 20, 10)
	return nil
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s\n", fmt.Sprintf(format, args...))
}
