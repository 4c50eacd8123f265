package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
)

// certificateLook is how often the files of the API's certificate are looked at, at most: by
// whoever connects.
const certificateLook = 5 * time.Second

// apiTCP is the local API over TCP, for containers, beside that on the socket. The zero value
// is switched off.
type apiTCP struct {
	ln    net.Listener
	srv   *http.Server
	certs *certificates

	mu     sync.Mutex // guards looked
	looked time.Time
}

// listen binds the address, if there is one, before the store is touched.
func (t *apiTCP) listen(cfg *config.Config) error {
	if cfg.API.Listen == "" {
		return nil
	}
	if cfg.API.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.API.TLSCert, cfg.API.TLSKey); err != nil {
			return &configError{fmt.Errorf("read api.tls_cert and api.tls_key: %w", err)}
		}
	}
	var err error
	if t.certs, err = loadCertificates(cfg.API.TLSCert, cfg.API.TLSKey); err != nil {
		return &configError{err}
	}
	t.ln, err = net.Listen("tcp", cfg.API.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the address %s of api.listen is taken by another program; stop it, or set another address", cfg.API.Listen)
	}
	if err != nil {
		return fmt.Errorf("listen for the API (api.listen): %w", err)
	}
	return nil
}

// close lets go of the address where nothing serves it.
func (t *apiTCP) close() {
	if t.ln != nil {
		t.ln.Close()
	}
}

// serveTCP serves the API over TCP, if it is on; failed gets the error that ends it.
func (d *daemon) serveTCP(failed chan<- error) {
	if d.tcp.ln == nil {
		return
	}
	token := func() []byte {
		cfg, _ := d.current()
		return cfg.API.Token.Bytes()
	}
	d.tcp.srv = api.NewServer(d.api.Guarded(token), d.log, api.ConnectionsMax)
	serve := d.tcp.srv.Serve
	if d.tcp.certs != nil {
		d.tcp.srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: d.apiCertificate}
		serve = func(ln net.Listener) error { return d.tcp.srv.ServeTLS(ln, "", "") }
	}
	d.log.Info("the API is served over TCP", "listen", d.tcp.ln.Addr().String(), "tls", d.tcp.certs != nil)
	go func() { failed <- fmt.Errorf("serve the API over TCP: %w", serve(d.tcp.ln)) }()
}

// apiCertificate is the certificate of the API. Files that have changed are read again by the
// next who connects; while they do not fit together, the old one stays.
func (d *daemon) apiCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if d.tcp.lookNow(time.Now()) {
		switch changed, err := d.tcp.certs.renew(); {
		case err != nil:
			d.log.Error("the changed certificate of the API is refused, the old one stays", "err", err)
		case changed:
			d.log.Info("the certificate of the API was read again")
		}
	}
	return d.tcp.certs.get()(hello)
}

func (t *apiTCP) lookNow(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.looked) < certificateLook {
		return false
	}
	t.looked = now
	return true
}

// stop ends the API over TCP; callers that wait have been sent home by then.
func (t *apiTCP) stop(ctx context.Context) {
	if t.srv == nil {
		return
	}
	if err := t.srv.Shutdown(ctx); err != nil {
		t.srv.Close()
	}
}
