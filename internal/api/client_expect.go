package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Limits of one request of ExpectAll. They keep it well within the time and the size that
// the server allows, however long the whole input is.
const (
	batchLines = 500
	batchBytes = 4 << 20
	// batchPause ends a batch when the input stops for a moment: whoever pipes sessions in
	// as they begin wants them announced as they begin.
	batchPause = 50 * time.Millisecond
)

// ExpectAll announces sessions, an [Expectation] as JSON on each line, and reports the
// answer to each line, numbered from 1, as it comes. Empty lines are skipped. A bad line
// does not stop the others. An error means that lines were not read or not answered; to
// send them again does no harm. A report that returns an error ends it with that error.
func (c *Client) ExpectAll(ctx context.Context, in io.Reader, report func(LineResult) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, failed := make(chan inputLine, batchLines), make(chan error, 1)
	// Reading cannot be called off; at the end of the process it may still wait for input.
	go func() {
		failed <- readLines(ctx, in, lineMax-1, lines) // a line may still get its end
		close(lines)
	}()
	for {
		batch, more := gather(ctx, lines)
		if err := c.expectBatch(ctx, batch, report); err != nil {
			return err
		}
		if more {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return <-failed
	}
}

// inputLine is one line of the input.
type inputLine struct {
	number int
	text   []byte
	long   bool // longer than the server takes; text is cut
}

// readLines sends the lines of in that are not empty; longer ones than max bytes are cut.
func readLines(ctx context.Context, in io.Reader, max int, lines chan<- inputLine) error {
	r := bufio.NewReaderSize(in, max)
	for n := 1; ; n++ {
		text, err := r.ReadSlice('\n')
		line := inputLine{number: n, text: bytes.Clone(text)}
		for errors.Is(err, bufio.ErrBufferFull) {
			line.long = true
			_, err = r.ReadSlice('\n')
		}
		if line.long || len(bytes.TrimSpace(line.text)) > 0 {
			select {
			case lines <- line:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read line %d: %w", n, err)
		}
	}
}

// gather takes lines until there are enough of them, the input pauses, or a line is too
// long, which is then the last. more is false at the end of the input.
func gather(ctx context.Context, lines <-chan inputLine) (batch []inputLine, more bool) {
	var pause <-chan time.Time
	for size := 0; len(batch) < batchLines && size < batchBytes; {
		select {
		case line, ok := <-lines:
			if !ok {
				return batch, false
			}
			batch = append(batch, line)
			if line.long {
				return batch, true
			}
			size += len(line.text)
			pause = time.After(batchPause)
		case <-pause:
			return batch, true
		case <-ctx.Done():
			return nil, false
		}
	}
	return batch, true
}

// expectBatch announces one batch and reports its answers.
func (c *Client) expectBatch(ctx context.Context, batch []inputLine, report func(LineResult) error) error {
	var long *inputLine
	if n := len(batch); n > 0 && batch[n-1].long {
		long, batch = &batch[n-1], batch[:n-1]
	}
	if len(batch) > 0 {
		if err := c.postLines(ctx, batch, report); err != nil {
			return err
		}
	}
	if long == nil {
		return nil
	}
	p := problem(http.StatusRequestEntityTooLarge, "the line is longer than %d bytes", lineMax)
	return report(LineResult{Line: long.number, Status: p.Status, Problem: p})
}

func (c *Client) postLines(ctx context.Context, batch []inputLine, report func(LineResult) error) error {
	var body bytes.Buffer
	for _, line := range batch {
		body.Write(bytes.TrimRight(line.text, "\r\n"))
		body.WriteByte('\n')
	}
	ctx, cancel := context.WithTimeout(ctx, slowCall)
	defer cancel()
	resp, err := c.send(ctx, request{method: http.MethodPost, path: "/v1/sessions", body: &body, media: "application/x-ndjson"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answers := json.NewDecoder(io.LimitReader(resp.Body, answerMax))
	for i := range batch {
		var r LineResult
		if err := answers.Decode(&r); err != nil {
			return fmt.Errorf("the answer to line %d did not come: %w", batch[i].number, err)
		}
		r.Line = batch[i].number // the server counts within the batch
		if err := report(r); err != nil {
			return err
		}
	}
	return nil
}
