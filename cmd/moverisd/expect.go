package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/api"
)

// stdin is the argument that stands for lines on standard input.
const stdin = "-"

// lineMax bounds a line of input in bytes; the API takes no longer ones.
const lineMax = 64 << 10

func (a *app) expectCommand() *cobra.Command {
	var e api.Expectation
	var metadata string
	cmd := &cobra.Command{
		Use:   "expect ID… | -",
		Short: "Announce sessions whose results are to come",
		Long: `Announce sessions whose results are to come. With "-" each line on standard input is
a JSON object with session_id and, all optional, job_id, account, grace_period,
metadata and again; the flags fill in what a line leaves out. To announce a session
again does no harm.

Prints a line for each session: id, "new" or "known", account. Exit code 2 if some
could not be announced, 1 if none could.`,
		Example: `  moverisd expect 550e8400-e29b-41d4-a716-446655440000
  moverisd expect my-session --job-id 4711 --grace 90s --metadata '{"customer":17}'
  moverisd expect my-session --again
  jq -c '{session_id: .id}' sessions.json | moverisd expect -`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if metadata != "" {
			e.Metadata = json.RawMessage(metadata)
			if !json.Valid(e.Metadata) {
				return usageError(`--metadata is a JSON object, such as '{"customer":17}'`)
			}
		}
		in, err := a.expectations(ids, e)
		if err != nil {
			return err
		}
		return a.expect(cmd.Context(), in, ids)
	}
	flags := cmd.Flags()
	flags.StringVar(&e.JobID, "job-id", "", "`id` of Moveris' job, for one session only")
	flags.StringVar(&e.Account, "account", "", "`name` of the account")
	flags.StringVar(&e.GracePeriod, "grace", "", "how `long` the webhook may take, such as 90s (default poll.grace_period)")
	flags.BoolVar(&e.Again, "again", false, "expect one more verification under a known id")
	flags.StringVar(&metadata, "metadata", "", "`JSON` object to be kept with the session")
	return cmd
}

// expectations are the lines to be sent: one for each id, or those of standard input.
func (a *app) expectations(ids []string, e api.Expectation) (io.Reader, error) {
	fromStdin := len(ids) == 1 && ids[0] == stdin
	if e.JobID != "" && (fromStdin || len(ids) > 1) {
		return nil, usageError("--job-id is for one session only; on standard input each line has its own")
	}
	if fromStdin {
		return filled(a.in, e)
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, e.SessionID = range ids {
		if e.SessionID == "" || !utf8.ValidString(e.SessionID) {
			return nil, usageError("an id is empty or not in UTF-8") // JSON would change it
		}
		if err := enc.Encode(e); err != nil {
			return nil, err
		}
	}
	return &lines, nil
}

// filled adds what the flags say to lines that do not say it. What is no JSON object passes
// as it is: the server says what is wrong about it.
func filled(in io.Reader, e api.Expectation) (io.Reader, error) {
	var flags map[string]json.RawMessage
	raw, err := json.Marshal(e)
	if err == nil {
		err = json.Unmarshal(raw, &flags)
	}
	if err != nil || len(flags) == 0 {
		return in, err
	}
	out, w := io.Pipe()
	go func() {
		r := bufio.NewReaderSize(in, lineMax)
		for cut := false; ; {
			line, err := r.ReadSlice('\n')
			long := errors.Is(err, bufio.ErrBufferFull)
			if !cut && !long {
				line = fill(line, flags)
			}
			if _, werr := w.Write(line); werr != nil {
				return
			}
			if err != nil && !long {
				w.CloseWithError(err) // the end of the input is io.EOF
				return
			}
			cut = long
		}
	}()
	return out, nil
}

// fill adds fields to a line that does not have them.
func fill(line []byte, flags map[string]json.RawMessage) []byte {
	fields := maps.Clone(flags)
	if json.Unmarshal(line, &fields) != nil || fields == nil {
		return line
	}
	full, err := json.Marshal(fields)
	if err != nil {
		return line
	}
	return append(full, '\n')
}

// expect sends the lines and prints what came of each.
func (a *app) expect(ctx context.Context, in io.Reader, ids []string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var t tally
	err = c.ExpectAll(ctx, in, func(r api.LineResult) error {
		if r.Problem != nil {
			t.failed++
			a.sayLine(r, ids)
		} else {
			t.done++
		}
		return a.showExpected(r)
	})
	switch {
	case err != nil && t.done > 0:
		a.say("%d sessions were announced before this; to announce them again does no harm", t.done)
		return &exit{exitPartly, errors.New(explain(err))}
	case err != nil:
		return err
	}
	t.code = exitFailed
	return t.err()
}

func (a *app) sayLine(r api.LineResult, ids []string) {
	if ids[0] == stdin {
		a.say("line %d: %s", r.Line, explain(r.Problem))
		return
	}
	a.say("%s: %s", clean(ids[r.Line-1]), explain(r.Problem))
}

func (a *app) showExpected(r api.LineResult) error {
	switch {
	case a.json():
		return writeJSON(a, r)
	case r.Problem != nil:
		return nil
	}
	return a.print("%s  %s  %s", clean(r.SessionID), newOrKnown(r.Status == http.StatusCreated), r.Account)
}

func newOrKnown(created bool) string {
	if created {
		return "new"
	}
	return "known"
}
