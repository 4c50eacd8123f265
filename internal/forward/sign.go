package forward

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a secret whose rest is the key in base64 (Standard Webhooks 1.0.0).
const secretPrefix = "whsec_"

// Key is the signing key of a secret as the configuration has it: what follows whsec_ is
// decoded, anything else is the key itself.
func Key(secret []byte) ([]byte, error) {
	text, found := bytes.CutPrefix(secret, []byte(secretPrefix))
	if !found {
		return secret, nil
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		// Some tools leave the padding out.
		key, err = base64.RawStdEncoding.DecodeString(string(text))
	}
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("what follows %s is not base64", secretPrefix)
	}
	return key, nil
}

// sign sets the headers of an attempt, with a signature by each key.
func sign(h http.Header, id string, at time.Time, body []byte, keys [][]byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	var list []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	// The scheme writes its headers in lower case; HTTP does not care.
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	h.Set("Webhook-Signature", strings.Join(list, " "))
}

// markLate is the body of an event that was a dead letter before.
func markLate(body []byte) []byte {
	if len(body) < 2 || body[len(body)-1] != '}' {
		return body
	}
	return append(body[:len(body)-1:len(body)-1], `,"late":true}`...)
}
