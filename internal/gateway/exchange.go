package gateway

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// expectAfter is how long an answer is waited for before its session is expected: what is
// refused at once, as with a wrong key or too few frames, was no check and needs no result.
const expectAfter = 2 * time.Second

// exchange is one request that may begin a check, and its answer.
type exchange struct {
	recorder *recorder
	account  string

	mu      sync.Mutex // guards the fields below
	id      string     // of the request
	over    bool       // the answer is there: the timer has nothing to say any more
	waiting *time.Timer
}

// begin looks at the body of a request as it passes.
func (x *exchange) begin(r *http.Request) {
	if r.Header.Get("Content-Encoding") != "" {
		return // what is packed is not unpacked on the way; the answer may name the session
	}
	r.Body = &scanned{ReadCloser: r.Body, scan: scanner{key: "session_id"}, found: x.names}
}

// scanned is a body that is scanned as it is read, by one reader at a time.
type scanned struct {
	io.ReadCloser
	scan  scanner
	found func(string)
}

func (b *scanned) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.scan.done {
		if b.scan.feed(p[:n]); b.scan.value != "" {
			b.found(b.scan.value)
		}
	}
	return n, err
}

// names notes the session of the request.
func (x *exchange) names(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.id = id
	if !x.over {
		x.waiting = time.AfterFunc(expectAfter, x.expect)
	}
}

// expect notes that the session of the request is expected.
func (x *exchange) expect() { x.recorder.add(note{account: x.account, id: x.end()}) }

// end stops the timer and returns the session of the request.
func (x *exchange) end() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.waiting != nil {
		x.waiting.Stop()
	}
	return x.id
}

// answered takes the answer; its body is looked at as it passes.
func (x *exchange) answered(resp *http.Response) {
	switch {
	case refused(resp.StatusCode):
		x.end()
	case resp.StatusCode >= 400:
		x.expect()
	case resp.StatusCode >= 200:
		resp.Body = &kept{ReadCloser: resp.Body, done: func(body []byte, whole bool) {
			x.finish(body, whole, resp.Header.Get("Content-Encoding"))
		}}
	}
}

// finish notes what the answer has told.
func (x *exchange) finish(body []byte, whole bool, encoding string) {
	n := note{account: x.account, id: x.end()}
	var err error
	if whole {
		var t told
		if t, err = read(body, encoding); err == nil {
			n.jobID, n.result = t.jobID, t.result
			if t.sessionID != "" {
				n.id = t.sessionID
			}
		}
	}
	if !whole || err != nil {
		x.recorder.unread.Add(1)
	}
	x.recorder.add(n)
}

// kept is the body of an answer whose first bytes are kept until it ends.
type kept struct {
	io.ReadCloser
	done func(body []byte, whole bool)

	buf  []byte
	long bool
	once sync.Once
}

func (b *kept) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if len(b.buf)+n > answerMax {
		b.buf, b.long = nil, true
	} else if !b.long {
		b.buf = append(b.buf, p[:n]...)
	}
	if err == io.EOF {
		b.once.Do(func() { b.done(b.buf, !b.long) })
	}
	return n, err
}

func (b *kept) Close() error {
	b.once.Do(func() { b.done(nil, false) }) // it ended before its end
	return b.ReadCloser.Close()
}
