package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/moverisd/moverisd/internal/api"
	"github.com/moverisd/moverisd/internal/config"
	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/webhook"
)

// observing is the read-only listener for monitoring. The zero value is switched off.
type observing struct {
	ln  net.Listener
	srv *http.Server
}

// listen binds the address, if there is one, before the store is touched.
func (o *observing) listen(cfg *config.Config) error {
	if cfg.Observe.Listen == "" {
		return nil
	}
	var err error
	o.ln, err = net.Listen("tcp", cfg.Observe.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the address %s of observe.listen is taken by another program; stop it, or set another address", cfg.Observe.Listen)
	}
	if err != nil {
		return fmt.Errorf("listen for monitoring (observe.listen): %w", err)
	}
	return nil
}

// close lets go of the address where nothing serves it.
func (o *observing) close() {
	if o.ln != nil {
		o.ln.Close()
	}
}

// serveObserve serves monitoring, if it is on; failed gets the error that ends it.
func (d *daemon) serveObserve(failed chan<- error) {
	if d.observe.ln == nil {
		return
	}
	token := func() []byte {
		cfg, _ := d.current()
		return cfg.API.Token.Bytes()
	}
	d.observe.srv = api.NewServer(d.api.Observer(token), d.log, api.ObserveConnectionsMax)
	d.observe.srv.WriteTimeout = 30 * time.Second
	d.log.Info("monitoring is served", "listen", d.observe.ln.Addr().String())
	go func() { failed <- fmt.Errorf("serve monitoring: %w", d.observe.srv.Serve(d.observe.ln)) }()
}

// stop ends monitoring.
func (o *observing) stop(ctx context.Context) {
	if o.srv == nil {
		return
	}
	if err := o.srv.Shutdown(ctx); err != nil {
		o.srv.Close()
	}
}

// measured is the sink of deliveries with what monitoring and the doctor want to know of them.
func (d *daemon) measured(st *store.Store) webhook.Sink {
	s := sink(st)
	s.Acked, s.Tested = d.meter.Acked, d.tests.arrived
	return s
}
