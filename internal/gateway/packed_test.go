package gateway

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// packed packs a text; a writer that cannot be made is a slip of the test.
func packed(text string, pack func(io.Writer) io.WriteCloser) string {
	var out bytes.Buffer
	w := pack(&out)
	_, _ = io.WriteString(w, text)
	w.Close()
	return out.String()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func zlibbed(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
func deflated(w io.Writer) io.WriteCloser {
	z, _ := flate.NewWriter(w, 9)
	return z
}

// However an answer is packed, it passes as it is, and its session is expected. Its verdict is
// submitted where it can be read, and it is counted where it cannot.
func TestPackedAnswers(t *testing.T) {
	result := func(n int) string { return fmt.Sprintf(`{"session_id":"s%d","verdict":"live","score":94.0}`, n) }
	bomb := `{"verdict":"live","x":"` + strings.Repeat("x", 100*answerMax) + `"}`
	cases := []struct {
		encoding string
		body     string
		read     bool
	}{
		{"gzip", packed(result(0), gzipped), true},
		{"GZip", packed(result(1), gzipped), true},
		{"deflate", packed(result(2), zlibbed), true},
		{"deflate", packed(result(3), deflated), true},
		{"identity", result(4), true},
		{"br", "\x8b\x02\x80packed\x03", false},
		{"zstd", "\x28\xb5\x2f\xfdpacked", false},
		{"gzip, br", "packed twice", false},
		{"gzip", packed(result(8), gzipped)[:30], false},
		{"deflate", "neither", false},
		{"gzip", packed(bomb, gzipped), false},
	}
	var asked []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		asked = r.Header["Accept-Encoding"]
		w.Header().Set("Content-Encoding", cases[n].encoding)
		_, _ = io.WriteString(w, cases[n].body)
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	var unread int64
	for n, c := range cases {
		id := fmt.Sprintf("s%d", n)
		accept := []string{"gzip, deflate, br, zstd"}
		resp, have := send(t, "POST", fmt.Sprintf("%s/%d", r.url, n), `{"session_id":"`+id+`"}`, http.Header{"Accept-Encoding": accept})
		if string(have) != c.body || resp.Header.Get("Content-Encoding") != c.encoding || !slices.Equal(asked, accept) {
			t.Errorf("%d %s: Moveris was asked for %q, and it came as %s, %d bytes", n, c.encoding, asked, resp.Header, len(have))
		}
		r.eventually(id+" is expected", func() bool { a, _ := r.daemon.told(id); return a != "" })
		if !c.read {
			unread++
		} else {
			r.eventually(id+" is submitted", func() bool { _, b := r.daemon.told(id); return len(b) == 1 })
		}
		if got := r.Counts(); got.Unread != unread || got.Submitted > int64(n+1)-unread {
			t.Errorf("%d %s: %+v, want %d unread", n, c.encoding, got, unread)
		}
	}
	// Who asks for nothing is asked for nothing.
	send(t, "POST", r.url+"/4", `{"session_id":"s4"}`, http.Header{"User-Agent": {"curl"}})
	if len(asked) > 0 {
		t.Errorf("Moveris was asked for %q", asked)
	}
}

// The log is told once a minute what has passed, if anything has since.
func TestCountsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		g, err := New(Settings{Log: slog.New(slog.NewTextHandler(&out, nil)), Accounts: []Account{{"a", "http://127.0.0.1:1", []byte(testKey)}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.wait(ctx, nil) }()
		for n, want := range []int{0, 1, 1, 2, 2} {
			if n%2 == 1 {
				g.recorder.requests.Add(1)
				g.recorder.unread.Add(1)
			}
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			if got := strings.Count(out.String(), "passed on so far"); got != want {
				t.Errorf("after %d minutes %d lines, want %d:\n%s", n+1, got, want, out.String())
			}
		}
		if !strings.Contains(out.String(), "requests=2 unknown_key=0 expected=0 submitted=0 refused=0 dropped=0 unread=2") {
			t.Error(out.String())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What unpacks to more than a result is not unpacked to its end.
func TestUnpackIsBounded(t *testing.T) {
	for encoding, pack := range map[string]func(io.Writer) io.WriteCloser{"gzip": gzipped, "deflate": zlibbed} {
		body := []byte(packed(strings.Repeat(" ", 50<<20), pack))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(body, encoding)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 1<<20 {
			t.Errorf("%s: %d bytes became %d, %v", encoding, len(body), took, err)
		}
	}
}
