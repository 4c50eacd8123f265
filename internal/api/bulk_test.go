package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Each line has its answer; a bad one does not undo the others.
func TestBulk(t *testing.T) {
	r := newRig(t)
	long := `{"session_id":"` + strings.Repeat("x", lineMax) + `"}`
	in := []string{`{"session_id":"a","metadata":{"n":1}}`, ``, `{"session_id":"b"`, long, `{"session_id":""}`, `{"session_id":"a"}`,
		`{"session_id":"a","metadata":{"n":2}}`, "{\"session_id\":\"\xff\"}", `{"session_id":"c","job_id":"j"}`}
	for _, end := range []string{"", "\n"} {
		w := r.do("POST", "/v1/sessions", strings.Join(in, "\n")+end)
		got := lines[LineResult](t, w.Body)
		want := map[int]int{1: 201, 3: 400, 4: 413, 5: 400, 6: 200, 7: 409, 8: 400, 9: 201}
		if end != "" {
			want[1], want[9] = 200, 200
		}
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || len(got) != len(want) {
			t.Fatalf("%d %s: %+v", w.Code, w.Header(), got)
		}
		for _, l := range got {
			if l.Status != want[l.Line] || (l.Problem != nil) != (l.Status >= 400) {
				t.Errorf("line %d: %+v, want %d", l.Line, l, want[l.Line])
			}
		}
	}
	r.call(200, "GET", "/v1/sessions/c", "", nil)
}

// A line is answered as it comes, before the next one is sent.
func TestBulkAnswersAtOnce(t *testing.T) {
	r := newRig(t)
	c := serve(t, r)
	in, w := io.Pipe()
	answers := make(chan LineResult)
	go func() {
		req, _ := http.NewRequest("POST", "http://moverisd/v1/sessions", in)
		resp, err := c.http.Do(req)
		if err != nil {
			t.Error(err)
			close(answers)
			return
		}
		defer resp.Body.Close()
		for dec := json.NewDecoder(resp.Body); ; {
			var l LineResult
			if dec.Decode(&l) != nil {
				close(answers)
				return
			}
			answers <- l
		}
	}()
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(w, "{\"session_id\":\"s%d\"}\n", n)
		select {
		case l := <-answers:
			if l.Line != n || l.Status != 201 {
				t.Errorf("%+v", l)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no answer to line %d", n)
		}
	}
	w.Close()
	if _, more := <-answers; more {
		t.Error("more answers than lines")
	}
}

// A list that is too large ends with an answer that says so, and keeps what was done.
func TestBulkTooLarge(t *testing.T) {
	r := newRig(t)
	in := io.MultiReader(strings.NewReader(`{"session_id":"a"}`+"\n"), strings.NewReader(strings.Repeat(strings.Repeat(" ", lineMax-2)+"\n", bulkMax/(lineMax-1)+1)))
	w := httptestPost(r, "/v1/sessions", in)
	got := lines[LineResult](t, w)
	if len(got) != 2 || got[0].Status != 201 || got[1].Status != 413 {
		t.Errorf("%+v", got)
	}
}

// The lines of one list share commits.
func TestBulkSharesCommits(t *testing.T) {
	r := newRig(t)
	const n = 2000
	got := lines[LineResult](t, r.do("POST", "/v1/sessions", numbered(0, n)).Body)
	for i, l := range got {
		if l.Line != i+1 || l.Status != 201 || l.SessionID != fmt.Sprintf("s%d", i) {
			t.Fatalf("answer %d: %+v", i, l)
		}
	}
	if commits := r.commits.Load(); len(got) != n || commits > n/4 {
		t.Errorf("%d lines were answered with %d commits", len(got), commits)
	}
}

// numbered are lines for the sessions from on.
func numbered(from, to int) string {
	var in strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&in, "{\"session_id\":\"s%d\"}\n", i)
	}
	return in.String()
}

// However many lines are under way, those of one session take effect in their order: the
// first says which job it is, the second only waits, the third is refused.
func TestBulkKeepsTheOrderOfASession(t *testing.T) {
	r := newRig(t)
	const sessions = 300
	var in strings.Builder
	for i := range sessions {
		for _, job := range []string{`"one"`, `""`, `"two"`} {
			fmt.Fprintf(&in, "{\"session_id\":\"s%d\",\"job_id\":%s}\n", i, job)
		}
	}
	for i, l := range lines[LineResult](t, r.do("POST", "/v1/sessions", in.String()).Body) {
		if want := []int{201, 200, 409}[i%3]; l.Line != i+1 || l.Status != want {
			t.Fatalf("answer %d: %+v, want %d", i, l, want)
		}
	}
}

// A caller that leaves half-way stops the work, even if it has sent more than it has read
// answers to, and nobody is left waiting for it.
func TestBulkCallerLeaves(t *testing.T) {
	r := newRig(t)
	c := serve(t, r)
	conn, err := c.http.Transport.(*http.Transport).DialContext(t.Context(), "unix", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 20_000
	list := numbered(0, n)
	fmt.Fprintf(conn, "POST /v1/sessions HTTP/1.1\r\nHost: moverisd\r\nContent-Length: %d\r\n\r\n", len(list))
	go func() { _, _ = io.WriteString(conn, list) }()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.UnixConn).CloseRead() // it still sends, but nobody reads
	for start, last := time.Now(), int64(-1); ; time.Sleep(200 * time.Millisecond) {
		now := r.operations.Load()
		if now == last && len(r.bulk) == 0 {
			break
		}
		if last = now; time.Since(start) > 30*time.Second {
			t.Fatal("it goes on")
		}
	}
	if done := r.operations.Load(); done > n/2 {
		t.Errorf("%d of %d lines were done for nobody", done, n)
	}
}

// While nothing can be committed no more lines of a list are read than its window has.
func TestBulkIsBounded(t *testing.T) {
	r := newRig(t)
	for range linesMax { // as if other lists had taken everything
		r.bulk <- struct{}{}
	}
	in, w := io.Pipe()
	var read atomic.Int64
	var enough atomic.Bool
	go func() {
		for n := 0; n < 10_000 && !enough.Load(); n++ {
			_, _ = fmt.Fprintf(w, "{\"session_id\":\"s%d\",\"job_id\":\"%s\"}\n", n, strings.Repeat("x", lineMax/2))
			read.Add(1)
		}
		_ = w.Close()
	}()
	answered := make(chan int)
	go func() { answered <- len(lines[LineResult](t, httptestPost(r, "/v1/sessions", in))) }()
	for start := time.Now(); read.Load() < linesAtOnce; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("only %d lines were read", read.Load())
		}
	}
	time.Sleep(300 * time.Millisecond)
	if n := read.Load(); n > linesAtOnce+4 {
		t.Errorf("%d lines were read while none could be done", n)
	}
	enough.Store(true)
	for range linesMax {
		<-r.bulk
	}
	if n := <-answered; int64(n) != read.Load() {
		t.Errorf("%d of %d lines were answered", n, read.Load())
	}
}

// BenchmarkBulk is a list of sessions, with one line under way at a time and with several.
func BenchmarkBulk(b *testing.B) {
	for _, atOnce := range []int{1, linesAtOnce} {
		b.Run(fmt.Sprintf("lines=%d", atOnce), func(b *testing.B) {
			r := newRig(b)
			r.atOnce = atOnce
			list := numbered(0, b.N)
			b.ResetTimer()
			if n := strings.Count(r.do("POST", "/v1/sessions", list).Body.String(), `"status":201`); n != b.N {
				b.Errorf("%d of %d", n, b.N)
			}
			b.ReportMetric(float64(b.N)/float64(r.commits.Load()), "lines/commit")
		})
	}
}
