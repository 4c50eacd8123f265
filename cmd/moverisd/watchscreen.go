package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Sequences of terminals (ECMA-48, and xterm's for the second screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the second screen, no cursor
	leaveScreen = "\x1b[0m\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// screen is a terminal that is drawn on. What was on it comes back when it is closed.
type screen struct {
	out  *os.File
	in   *os.File      // nil if keys cannot be read
	was  *unix.Termios // of in
	quit chan struct{} // closed by q
}

func openScreen(out *os.File, in io.Reader) (*screen, error) {
	s := &screen{out: out, quit: make(chan struct{})}
	if f, ok := in.(*os.File); ok {
		if was, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			s.in, s.was = f, was
		}
	}
	if s.in != nil {
		// Single keys, unseen; Ctrl-C goes on as a signal, Ctrl-Z would leave the screen behind.
		now := *s.was
		now.Lflag &^= unix.ICANON | unix.ECHO
		now.Cc[unix.VMIN], now.Cc[unix.VTIME], now.Cc[unix.VSUSP] = 1, 0, 0
		if err := unix.IoctlSetTermios(int(s.in.Fd()), unix.TCSETS, &now); err != nil {
			return nil, fmt.Errorf("prepare the terminal: %w", err)
		}
		go s.keys() // ends with the process: a read of a terminal cannot be called off
	}
	if _, err := out.WriteString(enterScreen); err != nil {
		s.close()
		return nil, fmt.Errorf("write the output: %w", err)
	}
	return s, nil
}

func (s *screen) keys() {
	var key [1]byte
	for {
		n, err := s.in.Read(key[:])
		if err != nil || n == 1 && (key[0] == 'q' || key[0] == 'Q') {
			close(s.quit)
			return
		}
	}
}

// size is the number of columns and rows.
func (s *screen) size() (width, height int) {
	ws, err := unix.IoctlGetWinsize(int(s.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24
	}
	return int(ws.Col), int(ws.Row)
}

// draw writes a frame over the one before, in one go, so that it does not flicker.
func (s *screen) draw(lines []string) error {
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + clearLine)
	}
	b.WriteString(clearRest)
	_, err := s.out.WriteString(b.String())
	return err
}

// close leaves the terminal as it was. An error has nobody to tell.
func (s *screen) close() {
	_, _ = s.out.WriteString(leaveScreen)
	if s.in != nil {
		_ = unix.IoctlSetTermios(int(s.in.Fd()), unix.TCSETSF, s.was)
	}
}
