package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
)

// packMax is how many events are packed together: so few that unpacking them delays a
// delivery that waits behind it by a millisecond or two, their sessions being short.
const packMax = 32

// packed is an event for the outbox as its transaction leaves it: not what is sent about it,
// which is some fifteen times as large and would slow every delivery down, but what that is made
// from when the event is unpacked. The records of a session are append-only, so those up to the
// newest at the time of the event are the session as it was then, and the moment says the rest
// (outbox_moment.go). It is made by the version that unpacks, and fixed from then on.
// Metadata never changes, and what is erased meanwhile is not in the pack.
type packed struct {
	seq       int64
	at        int64 // Unix milliseconds
	account   int64
	session   int64
	sessionID string
	change    int64
	metadata  bool // the session had metadata
	forwards  []int64
	then      *moment
	body      []byte // what is sent, instead of then: packs of schema 2
}

// packedSize is about as many bytes as a packed event takes.
const packedSize = 80

// Flags of a packed event.
const (
	packedMetadata byte = 1 << iota
	packedMoment        // there is a moment, and no body
)

func (p *packed) append(b []byte) []byte {
	for _, n := range []int64{p.seq, p.at, p.account, p.session, p.change, int64(len(p.forwards))} {
		b = binary.AppendVarint(b, n)
	}
	for _, f := range p.forwards {
		b = binary.AppendVarint(b, f)
	}
	var flags byte
	if p.metadata {
		flags |= packedMetadata
	}
	if p.then != nil {
		flags |= packedMoment
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, int64(len(p.sessionID)))
	b = append(b, p.sessionID...)
	if p.then != nil {
		return p.then.append(b)
	}
	b = binary.AppendVarint(b, int64(len(p.body)))
	return append(b, p.body...)
}

// unpack reads the events of a pack.
func unpack(b []byte) ([]packed, error) {
	r := packReader{b: b}
	var list []packed
	for len(r.b) > 0 && !r.bad {
		p := packed{seq: r.number(), at: r.number(), account: r.number(), session: r.number(), change: r.number()}
		for n := r.number(); n > 0 && !r.bad; n-- {
			p.forwards = append(p.forwards, r.number())
		}
		flags := r.byte()
		p.metadata = flags&packedMetadata != 0
		p.sessionID = string(r.bytes(r.number()))
		if flags&packedMoment != 0 {
			p.then = r.moment()
		} else {
			p.body = r.bytes(r.number())
		}
		list = append(list, p)
	}
	if r.bad {
		return nil, fmt.Errorf("%w: a pack of the outbox cannot be read", ErrCorrupt)
	}
	return list, nil
}

// packReader reads what packed.append writes; bad says that it could not.
type packReader struct {
	b   []byte
	bad bool
}

func (r *packReader) number() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *packReader) bytes(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *packReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// pack is events for the outbox that are written together.
type pack struct {
	seq, at     int64 // of its first event
	lastSession int64
	events      int
	data        []byte
}

// pack adds an event to what the transaction writes for the outbox.
func (t *txn) pack(p *packed) {
	if n := len(t.packs); n == 0 || t.packs[n-1].events == packMax {
		t.packs = append(t.packs, pack{seq: p.seq, at: p.at, data: make([]byte, 0, packMax/4*packedSize)})
	}
	to := &t.packs[len(t.packs)-1]
	to.data, to.lastSession = p.append(to.data), max(to.lastSession, p.session)
	to.events++
	t.packed.add(p.forwards, 1)
}

const insertPackSQL = "INSERT INTO outbox_packs (seq, store, at_ms, last_session, data) VALUES (?, ?, ?, ?, ?)"

// writePacks writes the transaction's events for the outbox.
func (t *txn) writePacks() error {
	for _, p := range t.packs {
		if err := t.exec(insertPackSQL, p.seq, t.q.s.id, p.at, p.lastSession, p.data); err != nil {
			return err
		}
		t.turned = true
	}
	return nil
}

// packedCounts says how many events of each forward are in packs. A row for it would have to be
// written with every commit; it is counted when the store is opened instead.
type packedCounts struct {
	mu sync.Mutex // guards n
	n  map[int64]int64
}

func (c *packedCounts) add(forwards []int64, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[int64]int64{}
	}
	for _, f := range forwards {
		c.n[f] += n
	}
}

// take adds the counts of a transaction that is committed.
func (c *packedCounts) take(of *packedCounts) {
	for forward, n := range of.n {
		c.add([]int64{forward}, n)
	}
}

// all is a copy of the counts, by forward.
func (c *packedCounts) all() map[int64]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}
