package sim

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// manner is how an answer goes over the wire.
type manner int

const (
	whole   manner = iota
	closed         // the connection ends without a byte
	reset          // the same with RST
	silent         // no byte for holdMax or until the client leaves
	drip           // one byte at a time
	half           // the declared length, half the bytes, then the end
	endless        // a string that does not end
)

const endlessMax = 64 << 20 // even an endless answer ends

// answer is an HTTP answer that is still a value: faults replace or change it.
type answer struct {
	status int
	header http.Header
	body   any // []byte is sent as it is, anything else as JSON
	cut    bool
	manner manner
	pause  time.Duration // between the bytes of a drip
}

func newAnswer(status int, body any) *answer {
	return &answer{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

func good(data any) *answer { return newAnswer(http.StatusOK, enveloped(data)) }

// envelope is nil unless this is a good answer still in its envelope.
func (a *answer) envelope() *envelope {
	e, _ := a.body.(*envelope)
	return e
}

// result is nil unless this is a good answer of a result route.
func (a *answer) result() *jobStatus {
	if e := a.envelope(); e != nil {
		js, _ := e.Data.(*jobStatus)
		return js
	}
	return nil
}

// bytes encodes the body as Python would: no HTML escapes, no line end.
func (a *answer) bytes() []byte {
	raw, ok := a.body.([]byte)
	if !ok {
		raw = encode(a.body)
	}
	if a.cut {
		raw = raw[:len(raw)/2]
	}
	return raw
}

func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("sim: a form that cannot be encoded: " + err.Error()) // forms are ours, so this is a bug
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// write sends the answer and returns the status the client could see, 0 if none.
func (a *answer) write(w http.ResponseWriter, r *http.Request) int {
	switch a.manner {
	case closed, reset:
		hangUp(w, a.manner == reset)
		return 0
	case silent:
		hold(r, holdMax)
		hangUp(w, false)
		return 0
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.manner == endless {
		w.WriteHeader(a.status)
		writeEndless(w, r)
		return a.status
	}
	a.writeBody(w, r, a.bytes())
	return a.status
}

// writeBody declares the whole length first, whatever is sent of it.
func (a *answer) writeBody(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	switch a.manner {
	case drip:
		writeDrip(w, r, body, a.pause)
	case half:
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the way to end a connection below the declared length
	default:
		w.Write(body)
	}
}

// hangUp ends the connection without an answer, with RST if told so.
func hangUp(w http.ResponseWriter, rst bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 or a recorder: the nearest there is
	}
	defer conn.Close()
	if !rst {
		return
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn() // under TLS
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
		tcp.Close() // at the raw level: closing TLS first would send an alert
	}
}

// hold waits and says whether the client is still there.
func hold(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func writeDrip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	flush := http.NewResponseController(w).Flush
	deadline := time.Now().Add(holdMax)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flush() != nil {
			return
		}
		if time.Now().After(deadline) || !hold(r, pause) {
			return
		}
	}
}

// writeEndless begins like a result, so that a reader has no reason to stop.
func writeEndless(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte(`{"success":true,"message":"OK","data":{"warning":"`))
	chunk := []byte(strings.Repeat("x", 64<<10))
	for sent := 0; sent < endlessMax && r.Context().Err() == nil; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
