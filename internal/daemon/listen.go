package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/moverisd/moverisd/internal/config"
)

// Names of the sockets that systemd may pass, as FileDescriptorName= says them.
const (
	webhookName = "webhook"
	apiName     = "api"
)

// inherited are the sockets that systemd has opened for us, by name.
type inherited map[string][]net.Listener

// inherit takes over systemd's sockets, if there are any. Each must be known by its name and
// listen where the configuration says: a service that listens elsewhere than it says would
// hide a mistake. Errors are the configuration's.
func inherit(cfg *config.Config) (inherited, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take over systemd's sockets: %w", err)
	}
	in := inherited(named)
	if err := in.check(cfg); err != nil {
		in.close()
		return nil, &configError{err}
	}
	return in, nil
}

func (in inherited) check(cfg *config.Config) error {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		list := in[name]
		if name != webhookName && name != apiName {
			return fmt.Errorf("systemd passes a socket named %q on %s, which is not known: set FileDescriptorName= of its unit to %q or %q",
				name, list[0].Addr(), webhookName, apiName)
		}
		if len(list) > 1 {
			return fmt.Errorf("systemd passes %d sockets named %q, on %s and %s; one is expected: leave one ListenStream= in its unit",
				len(list), name, list[0].Addr(), list[1].Addr())
		}
		key, want, fits := "webhook.listen", cfg.Webhook.Listen, sameTCP(list[0].Addr(), cfg.Webhook.Listen)
		if name == apiName {
			key, want, fits = "api.socket", cfg.API.Socket, list[0].Addr().String() == cfg.API.Socket
		}
		if !fits {
			return fmt.Errorf("systemd's socket %q listens on %s, but %s says %s: change one of them (the socket by `systemctl edit`, ListenStream=)",
				name, list[0].Addr(), key, want)
		}
	}
	return nil
}

// take returns the inherited listener of a name, or nil.
func (in inherited) take(name string) net.Listener {
	if list := in[name]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// useOnce has every connection of an inherited socket closed after one answer. Over one that
// is kept, a request may be on its way just as the server stops and closes it: it would stay
// without an answer, and a caller must not send a POST again by itself. A new connection waits
// at the socket for the next daemon. Without systemd's socket a stop refuses callers anyway.
func (in inherited) useOnce(name string, srv *http.Server) {
	if in.take(name) != nil {
		srv.SetKeepAlivesEnabled(false)
	}
}

func (in inherited) close() {
	for _, list := range in {
		for _, ln := range list {
			ln.Close()
		}
	}
}

// listenWebhook binds the address of the deliveries.
func listenWebhook(cfg *config.Config, in inherited) (net.Listener, error) {
	want := cfg.Webhook.Listen
	if ln := in.take(webhookName); ln != nil {
		return ln, nil
	}
	ln, err := net.Listen("tcp", want)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s of webhook.listen is taken by another program; stop it, or set another address", want)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for deliveries (webhook.listen): %w", err)
	}
	return ln, nil
}

// sameTCP reports whether a listener's address is the configured one. An empty host means all
// addresses, a name any of those it has, and port 0 any port.
func sameTCP(a net.Addr, want string) bool {
	have, ok := a.(*net.TCPAddr)
	host, port, err := net.SplitHostPort(want)
	if !ok || err != nil || port != "0" && port != strconv.Itoa(have.Port) {
		return false
	}
	if host == "" {
		return have.IP.IsUnspecified()
	}
	ips, err := net.LookupIP(host)
	return err == nil && slices.ContainsFunc(ips, func(ip net.IP) bool {
		return ip.Equal(have.IP) || ip.IsUnspecified() && have.IP.IsUnspecified()
	})
}

// checkSocket refuses what would keep listenAPI from making the API's socket, before the store
// is touched.
func checkSocket(cfg *config.Config) error {
	path := cfg.API.Socket
	if dir := filepath.Dir(path); !isDir(dir) {
		return &configError{fmt.Errorf("the directory %s of api.socket does not exist; create it, or set api.socket", dir)}
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return &configError{fmt.Errorf("%s (api.socket) is there and is no socket; remove it, or set api.socket", path)}
	}
	return nil
}

// listenAPI makes the unix socket of the API. A socket that nobody answers is a leftover of
// a killed daemon and is replaced.
func listenAPI(cfg *config.Config, in inherited) (net.Listener, error) {
	path := cfg.API.Socket
	if ln := in.take(apiName); ln != nil {
		return ln, nil
	}
	if _, err := os.Lstat(path); err == nil {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("another program answers on %s (api.socket); stop it, or set another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of an earlier daemon: %w", err)
		}
	}
	// Nobody may connect before the mode is set.
	old := syscall.Umask(0o177)
	ln, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("make the API's socket (api.socket): %w", err)
	}
	if err := os.Chmod(path, cfg.API.SocketMode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("set the mode of the API's socket: %w", err)
	}
	return ln, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
