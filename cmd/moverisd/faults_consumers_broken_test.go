package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// brokenDaemon is a daemon that breaks one promise to its applications.
type brokenDaemon struct{ name, file, old, new string }

func brokenDaemons() []brokenDaemon {
	const (
		target = "internal/forward/target.go"
		retry  = "internal/forward/retry.go"
		outbox = "internal/store/outbox.go"
		events = "internal/store/events.go"
		api    = "internal/api/events.go"
	)
	return []brokenDaemon{
		{"drops an event at its start", target, "	t.recall()\n	for {", `	t.recall()
	if due, _, err := t.f.Store.DueOutbox(t.f.ctx, t.name, t.f.Now(), horizon, 1); err == nil && len(due) > 0 {
		_ = t.f.Store.RecordSent(t.f.ctx, []store.Sent{{Forward: t.name, Seq: due[0].Seq, At: t.f.Now(), Done: true}})
	}
	for {`},
		{"gives all events of a session their turn at once", outbox, "THEN NULL ELSE ?4 END AS turn", "THEN ?4 ELSE ?4 END AS turn"},
		{"gives the newest event of a session the next turn", outbox, "(SELECT min(seq) FROM outbox INDEXED BY outbox_session",
			"(SELECT max(seq) FROM outbox INDEXED BY outbox_session"},
		{"marks an event as sent before the answer", target, "	a := send(ctx,",
			"	_ = t.f.Store.RecordSent(ctx, []store.Sent{{Forward: t.name, Seq: turn.Seq, At: t.f.Now(), Done: true}})\n	a := send(ctx,"},
		{"takes any answer for a success", retry, "return a.status >= 200 && a.status < 300", "return a.status > 0"},
		{"takes a 410 for a success", retry, "	if a.ok() {\n		out.Done", "	if a.ok() || a.status == http.StatusGone {\n		out.Done"},
		{"takes a 429 for a success", retry, "	if a.ok() {\n		out.Done", "	if a.ok() || a.status == http.StatusTooManyRequests {\n		out.Done"},
		{"changes what it sends again", target, "	if turn.Late {", "	if turn.Attempts > 0 {\n		out.Body = append(out.Body, '\\n')\n	}\n	if turn.Late {"},
		{"sends again with another id", target, "	if turn.Late {", "	if turn.Attempts > 0 {\n		out.ID += \"_2\"\n	}\n	if turn.Late {"},
		{"says a next that is one too far", api, "		out.Next = e.Seq\n", "		out.Next = e.Seq + 1\n"},
		{"goes on one event too late", api, "	return n, true, nil", "	if r.Header.Get(\"Last-Event-ID\") != \"\" {\n		n++\n	}\n	return n, true, nil"},
		{"goes on one event too early", api, "	return n, true, nil", "	return max(0, n-1), true, nil"},
		{"streams the id of the event before", api, "s.store.ID(), e.Seq, e.Change, data", "s.store.ID(), e.Seq-1, e.Change, data"},
		{"streams every page without its first event", api, "		for _, e := range list {\n			if err := s.writeStreamed",
			"		for i, e := range list {\n			if i == 0 && len(list) > 3 {\n				continue\n			}\n			if err := s.writeStreamed"},
		{"reads past an event", events, "FROM events WHERE seq > ? ORDER", "FROM events WHERE seq > ? AND seq % 100 <> 77 ORDER"},
	}
}

// faultBrokenConsumers shows that the look of the row "consumers" finds what it looks for.
func faultBrokenConsumers(t *testing.T) string {
	var list []string
	for i, m := range brokenDaemons() {
		start := time.Now()
		bin := program(t, fmt.Sprintf("broken-%d", i), map[string][]string{m.file: {m.old, m.new}})
		c := newTrial(t, 400, bin)
		err := c.run()
		c.v.kill()
		if err == nil {
			t.Errorf("a daemon that %s was not found out", m.name)
			continue
		}
		t.Logf("%s, found after %s: %v", m.name, time.Since(start).Round(time.Second), err)
		list = append(list, m.name)
	}
	return fmt.Sprintf("%d of %d found: %s", len(list), len(brokenDaemons()), strings.Join(list, "; "))
}
