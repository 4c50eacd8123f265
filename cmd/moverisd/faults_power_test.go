package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A diskOp changes a file, or the directory where path is all it has: it makes the file be
// there or not. It is on disk once an fsync has ended that began after it.
type diskOp struct {
	path   string
	kind   string // "write", "truncate", "create", "remove"
	at     int64
	data   []byte
	begun  int
	ended  int
	synced int // line of the trace from which on it is on disk; 0: never
}

// disk is everything a trace says about the database and its log.
type disk struct {
	ops  []*diskOp
	acks map[string]int // session: the line at which its 204 began
	last int            // line
}

// readDisk reads a trace with whole data.
func readDisk(t *testing.T, trace, db string) *disk {
	t.Helper()
	calls, err := readTrace(trace)
	must(t, err)
	d := &disk{acks: map[string]int{}}
	there := map[string]bool{}
	asked := map[string]string{}
	for _, c := range calls {
		d.last = max(d.last, c.begun)
		file := c.path == db || c.path == db+"-wal"
		if opened := pathArgument(c.args); c.name == "open" || c.name == "openat" {
			if (opened == db || opened == db+"-wal") && strings.Contains(c.args, "O_CREAT") && !c.failed && !there[opened] {
				there[opened] = true
				d.ops = append(d.ops, &diskOp{path: opened, kind: "create", begun: c.begun, ended: c.ended})
			}
			continue
		}
		switch c.name {
		case "pwrite64":
			if file {
				d.ops = append(d.ops, &diskOp{path: c.path, kind: "write", at: numberBeforeEnd(c.args), data: c.text(), begun: c.begun, ended: c.ended})
			}
		case "ftruncate":
			if file {
				d.ops = append(d.ops, &diskOp{path: c.path, kind: "truncate", at: numberBeforeEnd(c.args), begun: c.begun, ended: c.ended})
			}
		case "unlink", "unlinkat":
			if gone := pathArgument(c.args); gone == db+"-wal" {
				there[gone] = false
				d.ops = append(d.ops, &diskOp{path: gone, kind: "remove", begun: c.begun, ended: c.ended})
			}
		case "fsync", "fdatasync":
			d.sync(c, filepath.Dir(db))
		case "read":
			if id := ackMarker.Find(c.text()); id != nil && c.ended > 0 {
				asked[c.path] = string(id)
			}
		case "write":
			if id := asked[c.path]; id != "" && strings.Contains(c.args, "HTTP/1.1 204") {
				d.acks[id] = c.begun
			}
		}
	}
	return d
}

// sync marks what an fsync brings to the disk: of a file its data, of a directory its names.
func (d *disk) sync(c *syscallLine, dir string) {
	if c.failed || c.ended == 0 {
		return
	}
	for _, op := range d.ops {
		name := op.kind == "create" || op.kind == "remove"
		if op.synced == 0 && op.ended > 0 && op.ended <= c.begun && (name && c.path == dir || !name && c.path == op.path) {
			op.synced = c.ended
		}
	}
}

// pathArgument is the path in quotes of a call.
func pathArgument(args string) string {
	_, rest, ok := strings.Cut(args, "\"")
	path, _, found := strings.Cut(rest, "\"")
	if !ok || !found {
		return ""
	}
	return path
}

// numberBeforeEnd is the last argument of a call: an offset or a length.
func numberBeforeEnd(args string) int64 {
	args, _, _ = strings.Cut(args, " <unfinished")
	if i := strings.LastIndex(args, ")"); i >= 0 && strings.LastIndex(args, "\"") < i {
		args = args[:i]
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(args[strings.LastIndexByte(args, ',')+1:]), 10, 64)
	return n
}

// The ways in which a disk can lose what was not synced.
var powerModes = []string{"dropped", "last torn", "some dropped", "torn", "reordered"}

const sector = 512

// image writes what the disk may hold when the power goes at a line of the trace.
func (d *disk) image(t *testing.T, dir string, at int, mode string, r *rand.Rand) {
	t.Helper()
	var done, pending []*diskOp
	for _, op := range d.ops {
		switch {
		case op.begun >= at:
		case op.synced > 0 && op.synced < at:
			done = append(done, op)
		default:
			pending = append(pending, op)
		}
	}
	keep := map[*diskOp]bool{}
	for i, op := range pending {
		keep[op] = mode == "last torn" || mode != "dropped" && r.IntN(2) == 0
		if torn := mode == "torn" || mode == "last torn" && i == len(pending)-1; torn && op.kind == "write" && keep[op] {
			delete(keep, op)
			part := *op
			pending[i] = &part
			part.data = slices.Clone(op.data)
			part.at = -1 - op.at // applied by sectors, each or not
			keep[&part] = true
		}
	}
	all := append(done, pending...)
	if mode == "reordered" {
		r.Shuffle(len(pending), func(i, j int) { all[len(done)+i], all[len(done)+j] = all[len(done)+j], all[len(done)+i] })
	} else {
		slices.SortStableFunc(all, func(a, b *diskOp) int { return a.begun - b.begun })
	}
	files := map[string][]byte{}
	for _, op := range all {
		if op.synced > 0 && op.synced < at || keep[op] {
			apply(files, op, r)
		}
	}
	for path, data := range files {
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), data, 0o600))
	}
}

// apply brings an operation into files; one that is torn sector by sector. Data of a file
// whose name is not on disk is lost with it.
func apply(files map[string][]byte, op *diskOp, r *rand.Rand) {
	data, there := files[op.path]
	switch {
	case op.kind == "create":
		if !there {
			files[op.path] = nil
		}
	case op.kind == "remove":
		delete(files, op.path)
	case !there:
	case op.kind == "truncate":
		files[op.path] = grown(data, op.at)[:op.at]
	case op.at >= 0:
		data = grown(data, op.at+int64(len(op.data)))
		copy(data[op.at:], op.data)
		files[op.path] = data
	default:
		at := -1 - op.at
		for i := 0; i < len(op.data); i += sector {
			if part := op.data[i:min(i+sector, len(op.data))]; r.IntN(2) == 0 {
				data = grown(data, at+int64(i+len(part)))
				copy(data[at+int64(i):], part)
			}
		}
		files[op.path] = data
	}
}

func grown(data []byte, size int64) []byte {
	if int64(len(data)) >= size {
		return data
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// faultPower rebuilds what the disk may hold after a loss of power from the trace of a daemon
// at work. Every image opens, is whole, and has all that was acknowledged before.
func faultPower(t *testing.T) string {
	n := either(200, 3000)
	bad, acks := cutPower(t, program(t, "moverisd", nil), n, true)
	caught, _ := cutPower(t, program(t, "synchronous=NORMAL", map[string][]string{"internal/store/file.go": {
		`"_synchronous":  {"FULL"}`, `"_synchronous":  {"NORMAL"}`, `"synchronous": "2"`, `"synchronous": "1"`}}), 50, false)
	if caught == 0 {
		t.Error("a daemon with synchronous=NORMAL was not found out")
	}
	return fmt.Sprintf("%d images (%s), %d bad, %d acks held against them; synchronous=NORMAL: %d of 50 bad",
		n, strings.Join(powerModes, ", "), bad, acks, caught)
}

// cutPower makes n images and returns how many were bad, and how many acknowledgements were
// held against them in all.
func cutPower(t *testing.T, bin string, n int, strict bool) (bad, acks int) {
	t.Helper()
	v := newVictim(t, "", func(v *victim) { v.bin = bin })
	trace := filepath.Join(v.dir, "trace")
	v.run("-y", "-s", "70000", "-o", trace, "-e", "trace=open,openat,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,read,write")
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := range 60 {
				v.deliver(fmt.Sprintf("ack-%d-%05d", c, i), []string{"live", "fake"}[i%2])
			}
		})
	}
	wg.Wait()
	v.kill()
	d := readDisk(t, trace, v.store())
	if len(d.acks) < 200 || len(d.ops) < 500 {
		t.Fatalf("the trace shows %d acks and %d operations", len(d.acks), len(d.ops))
	}
	seed := rand.Uint64N(1 << 32)
	r := rand.New(rand.NewPCG(seed, 3))
	for i := range n {
		mode, at := powerModes[i%len(powerModes)], d.cut(i, r)
		dir, err := os.MkdirTemp(v.dir, "image-")
		must(t, err)
		d.image(t, dir, at, mode, r)
		l := newLedger()
		for id, line := range d.acks {
			if line < at {
				l.ack(id, v.ledger.acked[id])
			}
		}
		acks += l.size()
		if err := l.audit(filepath.Join(dir, "moverisd.db")); err != nil {
			bad++
			if strict {
				t.Errorf("power lost at line %d of %d, %s, seed %d: %v", at, d.last, mode, seed, err)
			}
		}
		must(t, os.RemoveAll(dir))
	}
	return bad, acks
}

// cut picks the moment: anywhere, or right after an acknowledgement, when the most is at stake.
func (d *disk) cut(i int, r *rand.Rand) int {
	if i%2 == 0 {
		return 1 + r.IntN(d.last)
	}
	for _, line := range d.acks { // any of them
		return line + 1
	}
	return d.last
}
