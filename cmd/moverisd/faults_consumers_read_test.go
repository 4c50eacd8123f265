package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// reader is a consumer of the events, of pages or of the stream. It keeps its cursor now and
// then, and begins there again when it has died.
type reader struct {
	*application
	v      *victim
	stream bool
	pos    int64  // the event it has read last
	store  string // of that event
	saved  int64  // the cursor it has kept
	fresh  []arrival
	life   int // events until it dies

	reached atomic.Int64 // pos, for others to look at
}

// lifeMax is how many events a consumer reads at most before it is killed.
const lifeMax = 120

// errDied is the end of a consumer that is killed.
var errDied = errors.New("the consumer was killed")

// run reads until ctx ends, and keeps what it has read then. Whatever breaks a connection is no harm, but for an answer that
// tells the consumer off.
func (c *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.read(ctx)
		if errors.Is(err, errDied) {
			c.die()
		} else if err != nil {
			time.Sleep(20 * time.Millisecond) // the daemon is away
		}
	}
	c.keep()
}

// die forgets what was not kept: the cursor always, what the events have made sometimes. A
// consumer that keeps the one with the other needs no ids, one that does not needs them.
func (c *reader) die() {
	if rand.IntN(2) == 0 {
		c.apply(c.fresh...)
	}
	c.fresh, c.pos = nil, c.saved
	c.reached.Store(c.pos)
	c.life = 1 + rand.IntN(lifeMax)
	c.died()
}

func (c *reader) keep() {
	c.apply(c.fresh...)
	c.fresh, c.saved = nil, c.pos
}

// read makes one call.
func (c *reader) read(ctx context.Context) error {
	query := ""
	if !c.stream {
		query = fmt.Sprintf("?limit=%d&wait=%dms", 1+rand.IntN(200), rand.IntN(2000))
		switch {
		case c.pos > 0 && rand.IntN(2) == 0:
			query += fmt.Sprintf("&after=%s_%d", c.store, c.pos)
		case c.pos > 0:
			query += fmt.Sprintf("&after=%d&store=%s", c.pos, c.store)
		}
	}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://moverisd/v1/events"+query, nil)
	must(c.v.t, err)
	if c.stream {
		req.Header.Set("Accept", "text/event-stream")
		if c.pos > 0 {
			req.Header.Set("Last-Event-ID", fmt.Sprintf("%s_%d", c.store, c.pos))
		}
	}
	resp, err := c.v.control.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(resp.Body)
		c.fail("after %d it was answered %d: %s", c.pos, resp.StatusCode, said)
		return errors.New("answered")
	}
	if c.stream {
		return c.readStream(resp.Body)
	}
	return c.readPage(resp.Body)
}

// readPage takes the events of a page one by one, as they are read.
func (c *reader) readPage(body io.Reader) error {
	in := json.NewDecoder(body)
	for range 3 { // {"events":[
		if _, err := in.Token(); err != nil {
			return err
		}
	}
	for in.More() {
		var event json.RawMessage
		if err := in.Decode(&event); err != nil {
			return err
		}
		if err := c.take("", event); err != nil {
			return err
		}
	}
	rest, err := io.ReadAll(io.MultiReader(in.Buffered(), body))
	if err != nil {
		return err
	}
	var end struct{ Next int64 }
	text, ok := strings.CutPrefix(string(rest), "],")
	if err := json.Unmarshal([]byte("{"+text), &end); err != nil || !ok {
		return io.ErrUnexpectedEOF // it was cut there
	}
	if end.Next != c.pos {
		c.fail("a page that ends with %d says that %d is next", c.pos, end.Next)
	}
	c.pos = end.Next // it is what a consumer goes on with
	if rand.IntN(4) == 0 {
		c.keep()
	}
	return nil
}

// readStream takes events as they come. What was not ended by an empty line is none.
func (c *reader) readStream(body io.Reader) error {
	in := bufio.NewReader(body)
	var id, name, data string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			id = value
			if c.life == 0 {
				return errDied // in the middle of an event
			}
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if data == "" {
				continue // a sign of life
			}
			if !strings.Contains(data, `"change":"`+strings.TrimPrefix(name, "session.")+`"`) {
				c.fail("an event %q is %s", name, data)
			}
			if err := c.take(id, []byte(data)); err != nil {
				return err
			}
			data = ""
		}
	}
}

// take handles an event. Each is the next one of the sequence. A page gives no ids: store and
// sequence are one.
func (c *reader) take(id string, event []byte) error {
	if c.life == 0 {
		return errDied
	}
	c.life--
	in, err := arrivalOf(id, event, event)
	if err != nil {
		c.fail("%v", err)
		return err
	}
	if !c.stream {
		in.id = fmt.Sprintf("%s_%d", in.store, in.seq)
	}
	if in.seq != c.pos+1 {
		c.fail("after event %d came event %d", c.pos, in.seq)
		return errDied
	}
	c.hear(in)
	c.pos, c.store = in.seq, in.store
	c.reached.Store(c.pos)
	c.fresh = append(c.fresh, in)
	if rand.IntN(10) == 0 {
		c.keep()
	}
	if rand.IntN(300) == 0 {
		c.hung()
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
	}
	return nil
}
