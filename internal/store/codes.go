package store

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/moverisd/moverisd/internal/verdict"
)

// The database keeps small integers for words. A code is the position in these
// lists, counted from one; the lists only ever grow at their ends.

func code[T ~string](list []T, word T) int64 { return int64(slices.Index(list, word) + 1) }

// word is the inverse of code; zero is the empty word.
func word[T ~string](list []T, code int64) (T, error) {
	if code == 0 {
		return "", nil
	}
	if code < 1 || int(code) > len(list) {
		return "", fmt.Errorf("unknown code %d", code)
	}
	return list[code-1], nil
}

// Kinds of records. Observations come first, their code is that of the form.
const (
	kindCompleted int64 = iota + 1
	kindFailed
	kindJob
	kindSession
	kindSubmitted

	kindExpected  int64 = 11
	kindWithdrawn int64 = 12
	kindGaveUp    int64 = 13

	kindAttempt int64 = 21

	kindAcked  int64 = 31
	kindErased int64 = 32
	kindFilled int64 = 33 // job id or metadata added to a known session
)

func forms() []verdict.Form {
	return []verdict.Form{verdict.FormCompleted, verdict.FormFailed, verdict.FormJob,
		verdict.FormSession, verdict.FormSubmitted}
}

// sourceOf is the source of an observation's form.
func sourceOf(kind int64) verdict.Source {
	switch kind {
	case kindCompleted, kindFailed:
		return verdict.Webhook
	case kindJob, kindSession:
		return verdict.Poll
	}
	return verdict.Submitted
}

// Flags of a session's row.
const (
	flagConflict      int64 = 1 << iota // also in the schema's partial index
	flagAgain                           // settled, and one more verification is expected
	flagUnknownWord                     // the newest unfinished answer has a word we do not know
	flagMissingAcked                    // a person has seen that it is missing
	flagConflictAcked                   // a person has seen the conflict
	flagErased                          // bodies and metadata were removed on request
)

// Flags of a record.
const (
	recordMismatch    int64 = 1 << iota // unsigned headers contradicted the signed body
	recordUnavailable                   // "available": false
)

// packID is a session id as it is stored: sixteen bytes where it is a UUID in its
// canonical lower-case form, the text itself otherwise. The types differ in SQLite, so
// the two never collide.
func packID(id string) any {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return id
	}
	packed := make([]byte, 0, 16)
	for i := 0; i < len(id); i += 2 {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
		}
		high, low := nibble(id[i]), nibble(id[i+1])
		if high > 15 || low > 15 {
			return id
		}
		packed = append(packed, high<<4|low)
	}
	return packed
}

// nibble is the value of a lower-case hexadecimal digit, or more than 15.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// unpackID is the inverse of packID.
func unpackID(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		if len(v) == 16 {
			h := hex.EncodeToString(v)
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
		}
	}
	return "", fmt.Errorf("session id of type %T", v)
}
