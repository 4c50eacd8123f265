package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/moverisd/moverisd/internal/store"
)

// target is one target at work. Its loop alone claims; attempts run beside it.
type target struct {
	f    *Forwarder
	name string
	way  http.RoundTripper
	kick chan struct{} // holds a token while the loop has something new to look at
	end  chan struct{} // closed to end the loop

	mu      sync.Mutex // guards the fields below
	to      Target
	enabled bool
	ended   bool
	health  health
	sending int                // attempts on their way
	busy    map[int64]struct{} // events on their way, or whose result is not written yet

	// Owned by the loop.
	ready    []store.Turn // claimed, not yet sent
	giveUpAt int64        // where giving up goes on
}

func startTarget(f *Forwarder, name string) *target {
	t := &target{f: f, name: name, way: f.roundTripper(), kick: make(chan struct{}, 1), end: make(chan struct{}),
		busy: map[int64]struct{}{}}
	f.running.Add(1)
	go t.run()
	return t
}

func (t *target) configure(to Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to.URL != "" && t.to.URL != to.URL {
		t.health = health{} // the new address owes nothing for the old one
	}
	t.to, t.enabled = to, true
	t.wake()
}

func (t *target) disable() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enabled = false
}

// stop ends the loop; the forwarder's lock is held.
func (t *target) stop() {
	if !t.ended {
		t.ended = true
		close(t.end)
	}
}

func (t *target) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// forever is the wait for something to happen; a look now and then does no harm.
const forever = time.Hour

// run is the loop: it does one step after the other until it is ended, and between them waits
// for the time the step has named, for the outbox or for an attempt to end.
func (t *target) run() {
	defer t.f.running.Done()
	t.recall()
	for {
		changed := t.f.Store.OutboxChanged()
		wait, hungry := t.step()
		if !hungry {
			changed = nil // a target that is paused is not woken by each delivery
		}
		select {
		case <-t.end:
			return
		default:
		}
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-t.end:
			timer.Stop()
			return
		case <-changed:
		case <-t.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// recall takes over from the store since when nothing comes through.
func (t *target) recall() {
	list, err := t.f.Store.ForwardFigures(t.f.ctx)
	if err != nil {
		return // it only means that giving up comes later
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range list {
		if f.Name == t.name {
			t.health.since = f.FailingSince
		}
	}
}

// step sends one event if there is one to be sent now, and says how long to wait for the next
// step, 0 for not at all, and whether one more event in the outbox would be reason enough for it.
func (t *target) step() (wait time.Duration, hungry bool) {
	now := t.f.Now()
	t.mu.Lock()
	h, room := t.health, t.room()
	enabled, idle := t.enabled, len(t.busy) == 0
	t.mu.Unlock()
	if !enabled {
		return forever, false
	}
	if wait := h.until.Sub(now); wait > 0 {
		if idle && h.failures >= attemptsMin && t.giveUp(h, now) {
			return time.Millisecond, false
		}
		return wait, false
	}
	if !room {
		return forever, false
	}
	if len(t.ready) == 0 {
		if wait, hungry := t.claim(h, now); len(t.ready) == 0 {
			return wait, hungry
		}
	}
	turn := t.ready[0]
	t.ready = t.ready[1:]
	t.launch(turn)
	return 0, false
}

// room reports whether one more attempt may begin; the lock is held.
func (t *target) room() bool {
	limit := sendersMax
	if t.health.probe {
		limit = 1
	}
	return t.sending < limit && len(t.busy) < resultsMax
}

// claim reads what is due, and has the store unpack more if that is little; while nothing
// comes through to the target, only if that is nothing. If there is nothing to be sent now, it
// says how long to wait, and whether no longer than for the next event.
func (t *target) claim(h health, now time.Time) (wait time.Duration, hungry bool) {
	t.mu.Lock()
	busy := make(map[int64]struct{}, len(t.busy))
	for seq := range t.busy {
		busy[seq] = struct{}{}
	}
	t.mu.Unlock()
	due, next, err := t.f.Store.DueOutbox(t.f.ctx, t.name, now, horizon, claimMax+len(busy))
	if err != nil {
		t.f.Log.Error("the outbox cannot be read", "forward", t.name, "err", err)
		return recordAgain, false
	}
	for _, turn := range due {
		if _, ok := busy[turn.Seq]; !ok {
			t.ready = append(t.ready, turn)
		}
	}
	if len(t.ready) < claimMax && (h.failures < steady || len(due) == 0) {
		found, err := t.f.Store.UnpackOutbox(t.f.ctx)
		switch {
		case err != nil:
			t.f.Log.Error("the outbox cannot be unpacked", "forward", t.name, "err", err)
			return recordAgain, false
		case found && len(t.ready) == 0:
			return 0, true
		}
	}
	if next.IsZero() {
		return forever, true
	}
	return max(next.Sub(now), time.Millisecond), true
}

// launch begins an attempt.
func (t *target) launch(turn store.Turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy[turn.Seq] = struct{}{}
	t.sending++
	t.f.running.Add(1)
	go t.attempt(turn, t.to)
}

// attempt sends one event and hands on what came of it.
func (t *target) attempt(turn store.Turn, to Target) {
	defer t.f.running.Done()
	sent, ok := t.try(turn, to)
	t.mu.Lock()
	t.sending--
	t.mu.Unlock()
	if ok {
		select {
		case t.f.results <- result{sent, t}:
			t.wake()
			return
		case <-t.f.ctx.Done():
		}
	}
	t.recorded(turn.Seq)
}

// try makes the attempt. It is false if there is nothing to be recorded: the event is not
// pending any more, or the attempt was broken off.
func (t *target) try(turn store.Turn, to Target) (store.Sent, bool) {
	out, err := t.f.Store.Outgoing(t.f.ctx, t.name, turn.Seq)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && t.f.ctx.Err() == nil {
			t.f.Log.Error("an event cannot be read", "forward", t.name, "err", err)
			pause(t.f.ctx, recordAgain)
		}
		return store.Sent{}, false
	}
	if turn.Late {
		out.Body = markLate(out.Body)
	}
	ctx, cancel := context.WithTimeout(t.f.ctx, t.f.timing.attempt)
	defer cancel()
	a := send(ctx, t.way, to, out, t.f.Now())
	if !a.ok() && t.f.ctx.Err() != nil {
		return store.Sent{}, false
	}
	now := t.f.Now()
	t.judge(a, now)
	sent := t.f.timing.next(turn, a, now, rand.Float64(), t.f.Doubt())
	sent.Forward = t.name
	if sent.Dead {
		t.f.Log.Warn("an event is given up, it is a dead letter now", "forward", t.name, "seq", turn.Seq, "err", a.err)
	}
	return sent, true
}

// judge keeps the health, and tells the log when it changes.
func (t *target) judge(a answer, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.health
	t.health = t.health.after(a, t.f.timing, now, rand.Float64())
	switch {
	case before.failures < steady && t.health.failures >= steady:
		t.f.Log.Warn("forwarding fails", "forward", t.name, "err", a.err)
	case before.failures >= steady && t.health.failures == 0:
		t.f.Log.Info("forwarding goes on", "forward", t.name)
	}
}

// recorded lets go of an event whose result is written, or that has none.
func (t *target) recorded(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.busy, seq)
	t.wake()
}

// giveUp makes dead letters of what has waited for too long while nothing at all came through,
// so that the outbox of a target that is gone for good does not grow without end. It reports
// whether there may be more.
func (t *target) giveUp(h health, now time.Time) bool {
	if h.since.IsZero() || now.Sub(h.since) < triedFor || t.f.Doubt() {
		return false
	}
	next, n, err := t.f.Store.GiveUpOutbox(t.f.ctx, t.name, t.giveUpAt, now.Add(-triedFor), "nothing came through for three days")
	if err != nil {
		t.f.Log.Error("what waits for too long cannot be given up", "forward", t.name, "err", err)
		return false
	}
	t.giveUpAt = next
	if n == 0 || next != 0 {
		return next != 0
	}
	t.f.Log.Warn("events are given up, they are dead letters now", "forward", t.name, "count", n)
	more, err := t.f.Store.UnpackOutbox(t.f.ctx)
	if err != nil {
		t.f.Log.Error("the outbox cannot be unpacked", "forward", t.name, "err", err)
	}
	return more
}
