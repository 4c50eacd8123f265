package gateway

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/moverisd/moverisd/internal/moveris"
)

// answerMax is how much of an answer is looked at, in bytes, also of what it unpacks to.
// Results are below 2 KiB.
const answerMax = 64 << 10

// told is what an answer says about a session.
type told struct {
	sessionID string
	jobID     string
	result    []byte // to be submitted; nil if there is no verdict in it
}

var errPacked = errors.New("the answer is packed in a way that is not known")

// read reads an answer. Only a finished result with a verdict in words is one to submit: a
// null may yet become one, and the webhook or the poll will say.
func read(body []byte, encoding string) (told, error) {
	plain, err := unpack(body, encoding)
	if err != nil {
		return told{}, err
	}
	fields := object(plain)
	if fields["data"] != nil && fields["success"] != nil { // contract section 4: the envelope
		fields = object(fields["data"])
	}
	t := told{sessionID: text(fields["session_id"]), jobID: text(fields["job_id"])}
	if _, _, err := moveris.ParseSubmission(plain); err != nil || text(fields["verdict"]) == "" {
		return t, nil
	}
	t.result, err = json.Marshal(reduced(fields))
	return t, err
}

// reduced are the fields of a result, as they were. The rest of an answer, such as
// diagnostics, is nobody's business.
func reduced(fields map[string]json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, name := range []string{"session_id", "job_id", "status", "verdict", "score", "real_score", "confidence", "type",
		"model", "processing_ms", "frames_processed", "available", "warning", "error", "created_at", "started_at", "completed_at"} {
		if v, ok := fields[name]; ok {
			out[name] = v
		}
	}
	return out
}

// unpack undoes the Content-Encoding of an answer, up to answerMax.
func unpack(body []byte, encoding string) ([]byte, error) {
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		// Some servers leave out the frame around it that the name stands for.
		if r, err = zlib.NewReader(r); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return nil, errPacked
	}
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, answerMax+1))
	if err == nil && len(plain) > answerMax {
		err = errors.New("the answer is too large to be a result")
	}
	return plain, err
}

func object(raw []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// refused reports whether a status says that no check was begun: then there is nothing to
// expect. 408 and 5xx leave it open, and a check of which nobody knows is to be found out
// about. A redirect is no check either.
func refused(status int) bool {
	return status >= 300 && status < 500 && status != http.StatusRequestTimeout
}
