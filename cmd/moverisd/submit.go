package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

func (a *app) submitCommand() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "submit -",
		Short: "Hand over results that Moveris gave the application directly",
		Long: `Hand over synchronous results. Each line on standard input is one, in the form of
the webhook's data with its session_id; the bytes are kept as they are. To submit a
result again does no harm.

Prints a line for each result: id, "new" or "known", state, outcome, account. A bad
line does not stop the others. Exit code 2 if some could not be handed over, 1 if
none could.`,
		Example: `  moverisd submit - < results.ndjson
  echo '{"session_id":"my-session","verdict":"live","score":94}' | moverisd submit -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != stdin {
				return usageError(`submit reads standard input: the one argument is "-"`)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "`name` of the account")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return a.submit(cmd.Context(), c, account)
	}
	return cmd
}

func (a *app) submit(ctx context.Context, c *api.Client, account string) error {
	var t tally
	in := bufio.NewReaderSize(a.in, lineMax)
	for n := 1; ; n++ {
		line, rerr := readLine(in)
		if rerr != nil && !errors.Is(rerr, errLong) && !errors.Is(rerr, io.EOF) {
			return fmt.Errorf("read line %d: %w", n, rerr)
		}
		if errors.Is(rerr, errLong) || len(bytes.TrimSpace(line)) > 0 {
			err := rerr
			if !errors.Is(rerr, errLong) {
				err = a.submitLine(ctx, c, account, line)
			}
			if !t.add(a, fmt.Sprintf("line %d", n), err) {
				break
			}
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
	}
	if t.failed > 0 {
		t.code = exitFailed
	}
	return t.err()
}

// submitLine hands over one result and prints what it came to.
func (a *app) submitLine(ctx context.Context, c *api.Client, account string, line []byte) error {
	var named struct {
		SessionID string `json:"session_id"`
	}
	if err := json.Unmarshal(line, &named); err != nil {
		return badLine("it is no result in JSON: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	if named.SessionID == "" {
		return badLine("it has no session_id")
	}
	s, created, err := c.Submit(ctx, account, named.SessionID, line)
	switch {
	case err != nil:
		return err
	case a.json():
		return writeJSON(a, s)
	}
	outcome := or(s.Outcome)
	if outcome == "" {
		outcome = "-"
	}
	return a.print("%s  %s  %s  %s  %s", clean(s.SessionID), newOrKnown(created), s.State, outcome, s.Account)
}

// badLine is the problem of a line that is not worth a call.
func badLine(text string) error {
	return &api.Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Detail: text}
}

var errLong = badLine(fmt.Sprintf("it is longer than %d bytes", lineMax))

// readLine reads a line without its end. One that does not fit is skipped and is errLong.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return bytes.TrimRight(line, "\r\n"), err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errLong
}
