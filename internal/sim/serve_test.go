package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestListenLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		if ln, err := Listen(addr, false); err == nil {
			ln.Close()
			t.Errorf("%s was taken", addr)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		ln, err := Listen(addr, false)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
}

// serving runs a Moveris on a real listener; the returned function stops it
// and says how long that took.
func serving(t *testing.T, m *Moveris, expired bool) (addr string, stop func() time.Duration) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", expired)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, ln) }()
	return ln.Addr().String(), func() time.Duration {
		begin := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return time.Since(begin)
	}
}

// A stop must not wait for the answers that hang by design.
func TestServeStopsWhileAnswersHang(t *testing.T) {
	m := New(Config{})
	setFaults(t, m, "hang")
	addr, stop := serving(t, m, false)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	asked := make(chan struct{})
	go func() {
		client.Get("http://" + addr + "/health")
		close(asked)
	}()
	for len(m.Requests()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if took := stop(); took > drainTime {
		t.Errorf("stopping took %s", took)
	}
	<-asked
}

func TestExpiredCertificate(t *testing.T) {
	m := New(Config{})
	addr, stop := serving(t, m, true)
	defer stop()
	var presented *x509.Certificate
	lenient := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			presented = s.PeerCertificates[0]
			return nil
		},
	}}}
	resp, err := lenient.Get("https://" + addr + "/health")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	// Even a client that trusts the issuer must find the date.
	roots := x509.NewCertPool()
	roots.AddCert(presented)
	strict := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	_, err = strict.Get("https://" + addr + "/health")
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("error %v", err)
	}
}

// The connection faults must reach the TCP connection under TLS as well.
func TestResetUnderTLS(t *testing.T) {
	m := New(Config{})
	setFaults(t, m, "reset")
	addr, stop := serving(t, m, true)
	defer stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if _, err := client.Get("https://" + addr + "/health"); !errors.Is(err, syscall.ECONNRESET) && (err == nil || !strings.Contains(err.Error(), "reset")) {
		t.Errorf("error %v", err)
	}
}
