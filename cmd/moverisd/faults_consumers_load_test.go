package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
)

// course is what happens to a session of a trial, and the changes that this makes.
type course struct {
	steps   []step
	changes []string
	verdict string
}

// step is one call: it is repeated until it is answered as it should.
type step struct {
	method string // PUT, DELETE, or POST of a delivery
	body   []byte
}

// courseOf is the course of the n-th session.
func courseOf(id string, n int) course {
	first := time.Now().Add(-time.Hour).Truncate(time.Second)
	later := first.Add(time.Minute)
	verdicts := []string{"live", "fake"}
	a, b := verdicts[n/5%2], verdicts[1-n/5%2]
	told := func(verdict string, at time.Time) step { return step{"POST", deliveryOf(id, verdict, at)} }
	expect := step{"PUT", fmt.Appendf(nil, `{"metadata":{"customer":"c-%d","note":"<&> ü"}}`, n)}
	switch n % 5 {
	case 0:
		return course{[]step{told(a, first)}, []string{"settled"}, a}
	case 1:
		return course{[]step{told(a, first), told(b, later)}, []string{"settled", "reverified"}, b}
	case 2:
		return course{[]step{told(a, first), told(b, first)}, []string{"settled", "conflicted"}, a}
	case 3:
		return course{[]step{expect, told(a, first), told(b, later), told(a, later)},
			[]string{"expected", "settled", "reverified", "conflicted"}, b}
	}
	return course{[]step{expect, {"DELETE", nil}, told(a, first)}, []string{"expected", "withdrawn", "revived"}, a}
}

// deliverAll plays the courses of the sessions that it is given, each call until it is
// acknowledged: that is what Moveris and an application do while the daemon is away.
func (c *trial) deliverAll(ctx context.Context) {
	for n := range c.released {
		id := fmt.Sprintf("session-%d", n)
		co := courseOf(id, n)
		for _, s := range co.steps {
			// The load is to last until the daemon is killed; and of two verdicts that are heard in
			// the same millisecond, chance says which counts.
			time.Sleep(time.Duration(2+rand.IntN(60)) * time.Millisecond)
			for !c.play(id, s) {
				if ctx.Err() != nil {
					return
				}
				c.again.Add(1)
				time.Sleep(time.Duration(5+rand.IntN(20)) * time.Millisecond)
			}
			if rand.IntN(4) == 0 {
				c.play(id, s) // a redelivery makes nothing
			}
		}
		c.v.ledger.ack(id, co.verdict)
		c.mu.Lock()
		c.changes[id] = strings.Join(co.changes, " ")
		c.mu.Unlock()
	}
}

// play makes one call and reports whether it was acknowledged.
func (c *trial) play(id string, s step) bool {
	target, client := "http://moverisd/v1/sessions/"+id, c.v.control
	if s.method == "POST" {
		target, client = "http://"+c.v.hook+"/api/moveris/webhook", c.v.client
	}
	req, err := http.NewRequest(s.method, target, bytes.NewReader(s.body))
	must(c.v.t, err)
	req.Header.Set("Content-Type", "application/json")
	if s.method == "POST" {
		req.Header.Set("X-Webhook-Signature", sim.Sign(testSecret, s.body))
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		c.fail(fmt.Errorf("%s of %s was answered %d: %s", s.method, id, resp.StatusCode, said))
	}
	return resp.StatusCode < 300
}
