package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// draw says what goes wrong with a request; empty for nothing.
func (b *badTarget) draw(id string) string {
	if b.calm.Load() || rand.IntN(b.odds) > 0 {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.met[id] >= b.perEach {
		return ""
	}
	kinds := []string{"500", "410", "429", "cut before reading", "cut after reading", "cut in the answer", "took it, said 500",
		"took it, said 410", "took it, answered rubbish", "took it, 200 with rubbish", "redirect", "slow", "hang", "hang, then took it"}
	kind := kinds[rand.IntN(len(kinds))]
	if strings.HasPrefix(kind, "hang") {
		if b.hangsMax == 0 {
			return ""
		}
		b.hangsMax--
		b.hung()
	}
	b.met[id]++
	b.counts[kind]++
	return kind
}

// count counts what is no fault of the target's.
func (b *badTarget) count(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[kind]++
}

// faults are the counts, by name, and their sum.
func (b *badTarget) faults() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	sum := 0
	for _, kind := range slices.Sorted(maps.Keys(b.counts)) {
		list = append(list, fmt.Sprintf("%s %d", kind, b.counts[kind]))
		sum += b.counts[kind]
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(list, ", "))
}

// misbehave answers an event that was read. What the daemon cannot know to be taken, it has
// to send again; a 2xx is one, whatever comes with it.
func (b *badTarget) misbehave(fault string, w http.ResponseWriter, r *http.Request, in arrival) {
	if strings.HasPrefix(fault, "took it") || fault == "cut in the answer" {
		b.apply(in)
	}
	switch fault {
	case "500", "took it, said 500":
		w.WriteHeader(http.StatusInternalServerError)
	case "410", "took it, said 410":
		w.WriteHeader(http.StatusGone)
	case "429":
		// A long wait would be obeyed, up to a quarter of an hour.
		soon := time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
		w.Header().Set("Retry-After", []string{"1", "0", "-1", "soon", soon}[rand.IntN(5)])
		w.WriteHeader(http.StatusTooManyRequests)
	case "cut after reading":
		panic(http.ErrAbortHandler)
	case "cut in the answer":
		onTheWire(w, "HTTP/1.1 200 OK\r\nContent-Le")
	case "took it, answered rubbish":
		onTheWire(w, rubbish())
	case "took it, 200 with rubbish":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000") // it is less
		_, _ = w.Write([]byte(rubbish()))
	case "redirect":
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case "slow":
		time.Sleep(time.Duration(50+rand.IntN(1000)) * time.Millisecond)
		b.apply(in)
		w.WriteHeader(http.StatusOK)
	case "hang":
		b.hang(r)
		panic(http.ErrAbortHandler)
	case "hang, then took it":
		b.hang(r)
		b.apply(in)
	}
}

func rubbish() string {
	out := make([]byte, 1+rand.IntN(500))
	for i := range out {
		out[i] = byte(rand.IntN(256))
	}
	return string(out)
}

// onTheWire answers with bytes of its own and breaks the connection.
func onTheWire(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = conn.Write([]byte(text))
	_ = conn.Close()
}
