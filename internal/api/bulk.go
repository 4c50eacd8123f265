package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

const (
	// linesAtOnce is how many lines of one list are under way at a time: enough to share a
	// commit, few enough that they take no more than 4 MiB of memory.
	linesAtOnce = 64
	// linesMax is that of all lists together, a quarter of what the store lets wait: lists
	// leave the rest to deliveries.
	linesMax = 1024
)

// postSessions expects many sessions, a line each, and answers a line each, in the order of
// the lines. Several are under way at a time, so that they share commits; those of one session
// take effect one after the other. A bad line does not undo the others.
func (s *Server) postSessions(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	// Answers go out while lines still come in. A server that cannot do both at once reads
	// all lines first; nothing else changes.
	_ = rc.EnableFullDuplex()
	w.Header().Set("Content-Type", "application/x-ndjson")
	// From the first byte on, answering is the other goroutine's and reading is this one's:
	// the server keeps the two apart only where the header of the answer is out.
	lines := bufio.NewReaderSize(r.Body, lineMax)
	_, _ = lines.Peek(1)
	w.WriteHeader(http.StatusOK)
	_ = rc.Flush()
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	answers, answered := newWindow[LineResult](s.atOnce), make(chan struct{})
	go func() {
		defer close(answered)
		enc := json.NewEncoder(w)
		answers.each(func() { _ = rc.Flush() }, func(l LineResult) {
			// The server closes the connection of a caller that does not read any more, which
			// ends the reading of lines; what was committed stays.
			if enc.Encode(l) != nil {
				leave()
			}
		})
	}()
	s.beginLines(ctx, r, lines, answers)
	answers.end()
	<-answered
	return nil
}

// beginLines reads the lines of a list up to its end, or until ctx ends, and begins the work
// on each that is not empty.
func (s *Server) beginLines(ctx context.Context, r *http.Request, lines *bufio.Reader, answers *window[LineResult]) {
	for n := 1; ctx.Err() == nil; n++ {
		line, err := readLine(lines)
		end := err != nil && !errors.Is(err, errLongLine)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if err != nil || len(bytes.TrimSpace(line)) > 0 {
			e, err := readExpectation(r, line, err)
			answers.begin(e.SessionID, func() LineResult { return s.expectLine(ctx, n, e, err) })
		}
		if end {
			return
		}
	}
}

var errLongLine = errors.New("the line is too long")

// readLine reads a line, which is valid until the next call. One that does not fit is
// skipped up to its end and is errLongLine; an error with a line is that of its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errLongLine // at the end of the input the next call says so
}

// readExpectation reads one line of a list; bad is why it could not be read whole.
func readExpectation(r *http.Request, line []byte, bad error) (e Expectation, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(bad, errLongLine):
		err = problem(http.StatusRequestEntityTooLarge, "the line is longer than %d bytes", lineMax)
	case errors.As(bad, &tooLarge):
		err = problem(http.StatusRequestEntityTooLarge, "the list is longer than %d bytes; this line and those after it were not read", bulkMax)
	case bad != nil:
		err = problem(http.StatusBadRequest, "the line did not arrive whole")
	default:
		err = decode(bytes.NewReader(line), &e)
	}
	if err != nil {
		return Expectation{}, err // half a line says nothing
	}
	e.Account, err = accountOf(r, e.Account)
	return e, err
}

// expectLine expects one line of a list, unless it could not be read.
func (s *Server) expectLine(ctx context.Context, n int, e Expectation, err error) LineResult {
	out := LineResult{Line: n, SessionID: e.SessionID}
	if err == nil {
		select {
		case s.bulk <- struct{}{}:
			var created bool
			out.Account, created, err = s.expect(ctx, e)
			<-s.bulk
			out.Status = http.StatusOK
			if created {
				out.Status = http.StatusCreated
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		out.Problem = s.problemOf(err)
		out.Status = out.Problem.Status
	}
	return out
}
