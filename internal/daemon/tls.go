package daemon

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificates is the certificate of the webhook listener, replaced by a reload and when its
// files change. A nil value means plain HTTP.
type certificates struct {
	current atomic.Pointer[tls.Certificate]
}

func loadCertificates(certFile, keyFile string) (*certificates, error) {
	if certFile == "" {
		return nil, nil
	}
	c := &certificates{}
	return c, c.reload(certFile, keyFile)
}

// reload reads the files again; on an error the old certificate stays.
func (c *certificates) reload(certFile, keyFile string) error {
	if c == nil || certFile == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("read webhook.tls_cert and webhook.tls_key: %w", err)
	}
	c.current.Store(&cert)
	return nil
}

// get is the hook of the TLS listener, nil without TLS.
func (c *certificates) get() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c == nil {
		return nil
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
}
