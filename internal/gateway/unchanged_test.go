package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// seen is a request as the server got it.
type seen struct {
	Method, URI, Body string
	Header            http.Header
	Length            int64
	Encoding          []string
}

// Requests and answers are the same with the gateway between as without, byte for byte, but
// for what belongs to one connection.
func TestUnchanged(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, answered)
	z.Close()
	var got seen
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, string(body), r.Header.Clone(), r.ContentLength, r.TransferEncoding}
		w.Header()["Date"] = []string{"Mon, 23 Nov 2026 10:00:00 GMT"}
		switch r.URL.Path {
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		case "/untyped":
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		case "/undated":
			w.Header()["Date"] = nil
			w.Header()["X-Twice"] = []string{"a", "b"}
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/redirect":
			w.Header().Set("Location", "http://192.0.2.1/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/streamed":
			for range 3 {
				_, _ = io.WriteString(w, answered[:50])
				_ = http.NewResponseController(w).Flush()
			}
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, answered)
			w.Header().Set("X-Sum", "1")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Moveris-Model-Resolved", "mixed-10-v2")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, answered)
		}
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	header := http.Header{"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"}, "User-Agent": {"node"},
		"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {"https"}, "Forwarded": {"for=192.0.2.7"}, "Cookie": {"a=b"}, "X-Trace-Id": {"1"}}
	bare := http.Header{"User-Agent": {""}}
	for _, c := range []struct {
		method, target, body string
		header               http.Header
	}{
		{"POST", "/api/v1/fast-check", `{"session_id":"s1","frames":[]}`, header},
		{"POST", "/packed", `{"session_id":"packed"}`, header},
		{"GET", "/untyped?q=%zz&a;b&c=%20", "", header},
		{"GET", "/undated?", "", bare},
		{"GET", "/a%2Fb/%C3%BC/..;/x%00", "", header},
		{"PATCH", "/empty", "{}", header},
		{"DELETE", "/redirect", "", header},
		{"GET", "/streamed", "", header},
		{"GET", "/trailer", "", header},
		{"OPTIONS", "/x", "", header},
		{"HEAD", "/x", "", header},
		{"PUT", "/x", strings.Repeat("\x00\xff", 100_000), header},
	} {
		direct, want := send(t, c.method, up.URL+c.target, c.body, c.header)
		was := got
		through, have := send(t, c.method, r.url+c.target, c.body, c.header)
		if !bytes.Equal(want, have) || direct.StatusCode != through.StatusCode || !reflect.DeepEqual(direct.Header, through.Header) ||
			direct.ContentLength != through.ContentLength || !reflect.DeepEqual(direct.Trailer, through.Trailer) ||
			!reflect.DeepEqual(direct.TransferEncoding, through.TransferEncoding) {
			t.Errorf("%s %s: direct %d %v %d, through %d %v %d", c.method, c.target, direct.StatusCode, direct.Header, len(want),
				through.StatusCode, through.Header, len(have))
		}
		// The test's client closes its connections, the gateway keeps its own: hop by hop.
		delete(was.Header, "Connection")
		if !reflect.DeepEqual(was, got) {
			t.Errorf("%s %s: the server got\n%+v directly,\n%+v through", c.method, c.target, was, got)
		}
	}
	r.eventually("a packed answer is read", func() bool { _, b := r.daemon.told("s1"); return len(b) == 1 })
}

// What streams is passed on as it comes, both ways.
func TestStreams(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for range 3 {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(w, "got "+line)
			_ = rc.Flush()
		}
	}))
	t.Cleanup(up.Close)
	r := newRig(t, up.URL, true)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	fmt.Fprintf(conn, "2\r\n1\n\r\n")
	in := bufio.NewReader(conn)
	for n, next := range []string{"2\r\n2\n\r\n", "2\r\n3\n\r\n", "0\r\n\r\n"} {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("line %d did not come while the request was open: %v", n+1, err)
			}
			if line == fmt.Sprintf("got %d\n", n+1) {
				break
			}
		}
		fmt.Fprint(conn, next)
	}
}

// An absolute or strange target leads nowhere but to the configured host.
func TestOnlyTheConfiguredHost(t *testing.T) {
	var hosts []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hosts = append(hosts, r.Host) }))
	t.Cleanup(up.Close)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was contacted") }))
	t.Cleanup(elsewhere.Close)
	r := newRig(t, up.URL, true)
	host := strings.TrimPrefix(elsewhere.URL, "http://")
	for _, line := range []string{"GET http://" + host + "/a HTTP/1.1", "GET //" + host + "/a HTTP/1.1", "GET /@" + host + " HTTP/1.1",
		"GET /.." + host + " HTTP/1.1", "CONNECT " + host + " HTTP/1.1", "POST \\\\" + host + " HTTP/1.1"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s\r\nHost: %s\r\nConnection: close\r\n\r\n", line, host)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.ReadAll(conn)
		conn.Close()
	}
	for _, h := range hosts {
		if "http://"+h != up.URL {
			t.Errorf("the host %s was named", h)
		}
	}
}
