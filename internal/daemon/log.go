package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/moverisd/moverisd/internal/config"
)

// newLogger chooses the log's form: under systemd the journal's priority in front and no
// time, which the journal has itself; otherwise plain text with the time.
func newLogger(w io.Writer, env config.Environment) *slog.Logger {
	if w == nil {
		w = os.Stderr
	}
	if !toJournal(w, env) {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(newJournalHandler(w))
}

// toJournal reports whether w is the stream that systemd has connected to the journal
// (systemd.exec(5), $JOURNAL_STREAM: device and inode).
func toJournal(w io.Writer, env config.Environment) bool {
	f, ok := w.(*os.File)
	stream, set := env.Lookup("JOURNAL_STREAM")
	if !ok || !set {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// journalHandler writes "<priority>" in front of each line.
type journalHandler struct {
	mu   *sync.Mutex
	out  io.Writer
	buf  *bytes.Buffer
	text slog.Handler
}

func newJournalHandler(w io.Writer) *journalHandler {
	buf := &bytes.Buffer{}
	text := slog.NewTextHandler(buf, &slog.HandlerOptions{Level: slog.LevelInfo,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		}})
	return &journalHandler{mu: &sync.Mutex{}, out: w, buf: buf, text: text}
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.text.Enabled(ctx, l)
}

// Handle implements slog.Handler. Priorities are those of syslog: 3 error, 4 warning, 6
// information, 7 debug.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	priority := 6
	switch {
	case r.Level >= slog.LevelError:
		priority = 3
	case r.Level >= slog.LevelWarn:
		priority = 4
	case r.Level < slog.LevelInfo:
		priority = 7
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	fmt.Fprintf(h.buf, "<%d>", priority)
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.out.Write(h.buf.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.text = h.text.WithAttrs(attrs)
	return &c
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.text = h.text.WithGroup(name)
	return &c
}
