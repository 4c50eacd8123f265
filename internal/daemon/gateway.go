package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/moverisd/moverisd/internal/config"
)

// gatewayName is what the socket of the gateway is called, as FileDescriptorName= says it.
const gatewayName = "gateway"

// ListenGateway takes over systemd's socket for the gateway, or binds its address. The socket
// must listen where the configuration says. ExitCode knows its errors.
func ListenGateway(cfg *config.Config) (net.Listener, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("take over systemd's socket: %w", err)
	}
	want := cfg.Gateway.Listen
	for name, list := range named {
		if name == gatewayName && len(list) == 1 && sameTCP(list[0].Addr(), want) {
			continue
		}
		inherited(named).close()
		return nil, &configError{fmt.Errorf("systemd passes %d sockets named %q, the first on %s; expected is one named %q on %s of gateway.listen",
			len(list), name, list[0].Addr(), gatewayName, want)}
	}
	if list := named[gatewayName]; len(list) == 1 {
		return list[0], nil
	}
	ln, err := net.Listen("tcp", want)
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway (gateway.listen): %w", err)
	}
	return ln, nil
}

// Logger writes to stderr as the daemon does: for the journal where that reads it.
func Logger(stderr io.Writer, env config.Environment) *slog.Logger { return newLogger(stderr, env) }
