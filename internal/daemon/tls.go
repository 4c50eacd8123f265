package daemon

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificates is the certificate of the webhook listener, replaced by a reload and when its
// files change. A nil value means plain HTTP.
type certificates struct {
	current atomic.Pointer[tls.Certificate]

	mu   sync.Mutex // guards the fields below
	pair pair       // in force
	seen fileStamps // of the files when they were last read, in force or refused
}

// pair is a certificate with the files it was read from; without files it means plain HTTP.
type pair struct {
	certFile, keyFile string
	cert              tls.Certificate
	stamps            fileStamps
}

// fileStamps tell whether files have changed: modification time and size of both. A link that
// leads elsewhere changes them as well.
type fileStamps [2]struct {
	at   time.Time
	size int64
}

func stampFiles(names ...string) (s fileStamps) {
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			s[i].at, s[i].size = info.ModTime(), info.Size()
		}
	}
	return s
}

// readPair reads a certificate and its key; without files it reads nothing.
func readPair(certFile, keyFile string) (pair, error) {
	p := pair{certFile: certFile, keyFile: keyFile}
	if certFile == "" {
		return p, nil
	}
	// The stamps come first: what changes while it is read is read again.
	p.stamps = stampFiles(certFile, keyFile)
	var err error
	if p.cert, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		return p, fmt.Errorf("read tls_cert %s and tls_key %s: %w", certFile, keyFile, err)
	}
	return p, nil
}

// loadCertificates reads the certificate for the start; nil means plain HTTP.
func loadCertificates(certFile, keyFile string) (*certificates, error) {
	p, err := readPair(certFile, keyFile)
	if err != nil || certFile == "" {
		return nil, err
	}
	c := &certificates{}
	c.replace(p)
	return c, nil
}

// replace puts a certificate into force, but for a change between HTTP and HTTPS, which takes
// a restart.
func (c *certificates) replace(p pair) {
	if c == nil || p.certFile == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pair, c.seen = p, p.stamps
	c.current.Store(&c.pair.cert)
}

// renew reads the files again if they have changed since they were last read. On an error the
// old certificate stays, and nothing is read before they change once more.
func (c *certificates) renew() (changed bool, err error) {
	if c == nil {
		return false, nil
	}
	c.mu.Lock()
	files, seen := c.pair, c.seen
	c.mu.Unlock()
	if stampFiles(files.certFile, files.keyFile) == seen {
		return false, nil
	}
	p, err := readPair(files.certFile, files.keyFile)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = p.stamps
		return false, err
	}
	c.replace(p)
	return true, nil
}

// get is the hook of the TLS listener, nil without TLS.
func (c *certificates) get() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c == nil {
		return nil
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
}
