package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/moverisd/moverisd/internal/config"
)

// inherited are the sockets that systemd has opened for us, by name.
type inherited map[string][]net.Listener

func inherit() (inherited, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take over systemd's sockets: %w", err)
	}
	return named, nil
}

// take returns the inherited listener of a name, or nil. Its address must be the configured
// one: a service that listens elsewhere than it says would hide a mistake.
func (in inherited) take(name string, fits func(net.Addr) bool, configured string) (net.Listener, error) {
	list := in[name]
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > 1 {
		return nil, &configError{fmt.Errorf("systemd passes %d sockets named %q; one is expected", len(list), name)}
	}
	if !fits(list[0].Addr()) {
		return nil, &configError{fmt.Errorf("systemd's socket %q listens on %s, but the configuration says %s: change one of them",
			name, list[0].Addr(), configured)}
	}
	return list[0], nil
}

// listenWebhook binds the address of the deliveries.
func listenWebhook(cfg *config.Config, in inherited) (net.Listener, error) {
	want := cfg.Webhook.Listen
	ln, err := in.take("webhook", func(a net.Addr) bool { return sameTCP(a, want) }, want)
	if ln != nil || err != nil {
		return ln, err
	}
	ln, err = net.Listen("tcp", want)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s of webhook.listen is taken by another program; stop it, or set another address", want)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for deliveries (webhook.listen): %w", err)
	}
	return ln, nil
}

// sameTCP reports whether a listener's address is the configured one; a configured host that
// is empty or a name fits any address with the same port.
func sameTCP(a net.Addr, want string) bool {
	have, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	w, err := net.ResolveTCPAddr("tcp", want)
	if err != nil || w.Port != have.Port {
		return false
	}
	return w.IP == nil || w.IP.Equal(have.IP) || w.IP.IsUnspecified() && have.IP.IsUnspecified()
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
	ln, err := in.take("api", func(a net.Addr) bool { return a.String() == path }, path)
	if ln != nil || err != nil {
		return ln, err
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
	ln, err = net.Listen("unix", path)
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
