package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// settleTime is how long a daemon has to come to rest before its memory is read.
const settleTime = 5 * time.Second

// sizes compares a large store with a small one.
func (b *bench) sizes() error {
	dirs := map[string]string{"small": filepath.Join(b.lab.dir, "small"), "large": filepath.Join(b.lab.dir, "large")}
	if b.keep != "" {
		dirs["large"] = filepath.Join(b.keep, strconv.Itoa(b.large))
	}
	if _, err := fillStore(dirs["small"], b.small); err != nil {
		return err
	}
	perSession, err := fillStore(dirs["large"], b.large)
	if err != nil {
		return err
	}
	if err := b.duePick(dirs); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, size := range turn(round, "small", "large") {
			progress("round %d of %d: the %s store", round+1, b.rounds, size)
			if err := b.sized(size, dirs[size], round); err != nil {
				return err
			}
		}
	}
	r, of := b.report, fmt.Sprintf(" at %s ÷ at %s sessions", count(b.large), count(b.small))
	r.ratioMax("due pick of 100"+of, "due pick, large ms", "due pick, small ms", 2, 1.0)
	r.ratioMax("status"+of, "status, large ms", "status, small ms", 3, 1.2)
	r.ratio("intake for known sessions"+of, "known sessions, large acked_per_second", "known sessions, small acked_per_second", 0.80, 0.95)
	r.ratio("intake for new sessions"+of, "new sessions, large acked_per_second", "new sessions, small acked_per_second", 0.60, 0.85)
	r.ratioMax("start to ready"+of, "start, large ms", "start, small ms", 2, 1.2)
	r.row(fmt.Sprintf("memory at %s sessions, idle", count(b.large)), r.Values["idle memory, large mib"], 32, 16, true, " MiB")
	r.row(fmt.Sprintf("memory at %s sessions, 256 connections", count(b.large)), r.Values["loaded memory, large mib"], 96, 40, true, " MiB")
	r.row("bytes on disk for a settled session", values{perSession}, 1000, 800, true, " B")
	return nil
}

func count(n int) string {
	switch {
	case n%1_000_000 == 0:
		return strconv.Itoa(n/1_000_000) + " M"
	case n%1000 == 0:
		return strconv.Itoa(n/1000) + " k"
	}
	return strconv.Itoa(n)
}

// duePick times the choice of 100 due sessions, in turns.
func (b *bench) duePick(dirs map[string]string) error {
	stores := map[string]*store.Store{}
	for size, dir := range dirs {
		st, err := store.Open(context.Background(), store.Options{Path: filepath.Join(dir, "moverisd.db")})
		if err != nil {
			return err
		}
		defer st.Close()
		stores[size] = st
	}
	then := time.Now().Add(20 * time.Hour)
	for range 30 * b.rounds {
		for _, size := range []string{"small", "large"} {
			start := time.Now()
			due, err := stores[size].Due(context.Background(), benchAccount, then, 100, 0)
			if err != nil || len(due) != 100 {
				return fmt.Errorf("%d of 100 due sessions in the %s store: %w", len(due), size, err)
			}
			b.report.add("due pick, "+size+" ms", time.Since(start).Seconds()*1000)
		}
	}
	return nil
}

// sized starts a daemon on a store and measures it. The small store is used once: a load would
// change it.
func (b *bench) sized(size, dir string, round int) error {
	if size == "small" {
		once := filepath.Join(b.lab.dir, "once")
		defer os.RemoveAll(once)
		defer syscall.Umask(syscall.Umask(0o077)) // moverisd refuses a store that others may open
		if err := os.CopyFS(once, os.DirFS(dir)); err != nil {
			return err
		}
		dir = once
	}
	// What is not in memory has to come from the disk, and it is not the disk that is measured.
	if err := readThrough(filepath.Join(dir, "moverisd.db")); err != nil {
		return err
	}
	s, err := b.lab.start("moverisd", dir)
	if err != nil {
		return err
	}
	b.report.add("start, "+size+" ms", s.ready.Seconds()*1000)
	err = b.watched(s, size, round)
	if err2 := s.stop(); err == nil {
		err = err2
	}
	return err
}

func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

func (b *bench) watched(s *server, size string, round int) error {
	time.Sleep(settleTime)
	idle, err := residentMiB(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.report.add("idle memory, "+size+" mib", idle)
	for range 20 {
		start := time.Now()
		if _, err := s.get("GET", "/v1/status", nil); err != nil {
			return err
		}
		b.report.add("status, "+size+" ms", time.Since(start).Seconds()*1000)
	}
	known := b.small
	if size == "large" {
		known = b.large
	}
	for _, load := range []struct {
		name string
		args []string
	}{
		{"known sessions", []string{"--known", strconv.Itoa(known), "--seed", strconv.Itoa(round + 10)}},
		{"new sessions", []string{"--first", strconv.Itoa((round + 1) * 100_000_000)}},
	} {
		r, err := b.lab.load(s, b.length, append(load.args, "--connections", "64")...)
		if err != nil {
			return err
		}
		b.report.load(load.name+", "+size, r)
	}
	r, err := b.lab.load(s, b.length, "--connections", "256", "--first", strconv.Itoa((round+1)*100_000_000+50_000_000))
	if err != nil {
		return err
	}
	b.report.load("256 connections, "+size, r)
	b.report.add("loaded memory, "+size+" mib", r.Server.Peak)
	return nil
}
