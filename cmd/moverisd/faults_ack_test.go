package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// faultAck shows that between the last write of a delivery's frames and its 204 lies an fsync
// of the write-ahead log, and that the same look finds a daemon that does not wait for it.
func faultAck(t *testing.T) string {
	n := either(1000, 5000)
	acks, late := watchAcks(t, program(t, "moverisd", nil), n)
	if acks < n || late > 0 {
		t.Errorf("%d of %d acks seen, %d before their fsync", acks, n, late)
		return ""
	}
	var caught []string
	for _, m := range []struct{ name, file, old, new string }{
		{"synchronous=NORMAL", "internal/store/file.go", `"_synchronous":  {"FULL"}`, `"_synchronous":  {"NORMAL"}`},
		{"ack before commit", "internal/store/queue.go", "return b, len(b.ops) - 1, nil",
			"select { case <-b.done: default: b.errs = make([]error, batchMax); close(b.done) }; return b, len(b.ops) - 1, nil"},
	} {
		overlay := map[string][]string{m.file: {m.old, m.new}}
		if m.file == "internal/store/file.go" {
			overlay[m.file] = append(overlay[m.file], `"synchronous": "2"`, `"synchronous": "1"`)
		} else {
			overlay[m.file] = append(overlay[m.file], "	close(b.done)\n	select", "	select { case <-b.done: default: close(b.done) }\n	select",
				"	b.errs = make([]error, len(b.ops))\n", "	b.errs = make([]error, batchMax)\n")
		}
		_, bad := watchAcks(t, program(t, strings.ReplaceAll(m.name, " ", "-"), overlay), 100)
		if bad == 0 {
			t.Errorf("a daemon with %s was not found out", m.name)
		}
		caught = append(caught, fmt.Sprintf("%s: %d of 100 found", m.name, bad))
	}
	return fmt.Sprintf("%d acks, %d violations; %s", acks, late, strings.Join(caught, ", "))
}

// watchAcks lets a daemon take deliveries under strace. It returns how many acknowledgements
// the trace shows and how many of them came too early.
func watchAcks(t *testing.T, bin string, n int) (acks, late int) {
	v := newVictim(t, "", func(v *victim) { v.bin = bin })
	trace := filepath.Join(v.dir, "trace")
	v.run("-y", "-s", "4200", "-o", trace, "-e", "trace=pwrite64,fsync,fdatasync,read,write,sync_file_range")
	var wg sync.WaitGroup
	const clients = 4
	for c := range clients {
		wg.Go(func() {
			for i := range n / clients {
				if code := v.deliver(fmt.Sprintf("ack-%d-%05d", c, i), "live"); code != 204 {
					t.Errorf("answered %d", code)
					return
				}
			}
		})
	}
	wg.Wait()
	v.stop()
	calls, err := readTrace(trace)
	must(t, err)
	return judgeAcks(calls)
}

var ackMarker = regexp.MustCompile(`ack-\d-\d{5}`)

// judgeAcks looks at every 204: the session that its connection had asked for was written to
// the log in a transaction whose last frame an fsync has followed, before the answer began.
func judgeAcks(calls []*syscallLine) (acks, late int) {
	synced := map[string]int{}    // session: the line at which its frames were on disk
	written := map[string]bool{}  // sessions in the log, not yet whole
	committed := map[string]int{} // sessions whose last frame was written at a line
	asked := map[string]string{}  // connection: the session of its last request
	var commits bool              // the frame whose page follows ends a transaction
	for _, c := range calls {
		wal := strings.HasSuffix(c.path, "-wal")
		switch {
		case wal && c.name == "pwrite64":
			data := c.text()
			if len(data) == 24 {
				commits = !bytes.Equal(data[4:8], []byte{0, 0, 0, 0})
				continue
			}
			for _, id := range ackMarker.FindAll(data, -1) {
				if _, known := committed[string(id)]; !known {
					written[string(id)] = true
				}
			}
			if commits {
				for id := range written {
					committed[id] = c.ended
				}
				clear(written)
			}
		case wal && (c.name == "fsync" || c.name == "fdatasync") && !c.failed && c.ended > 0:
			for id, at := range committed {
				if at < c.begun && synced[id] == 0 {
					synced[id] = c.ended
				}
			}
		case c.name == "read" && c.ended > 0:
			if id := ackMarker.Find(c.text()); id != nil {
				asked[c.path] = string(id)
			}
		case c.name == "write" && strings.Contains(c.args, "HTTP/1.1 204"):
			id := asked[c.path]
			if id == "" {
				continue
			}
			acks++
			if at := synced[id]; at == 0 || at >= c.begun {
				late++
			}
		}
	}
	return acks, late
}
