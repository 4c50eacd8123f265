package sim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// Sign returns the value of X-Webhook-Signature for a body: "sha256=" and the
// lower-case hex HMAC-SHA256 of the raw bytes, keyed with the secret's UTF-8
// bytes (contract: webhook setup guide).
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Forgery is a way to make a delivery that must be refused.
type Forgery string

// The forgeries. Both tell the opposite verdict: WrongSecret signs it with a
// secret that is not ours, FlippedBit takes the true signature and changes one
// bit of it.
const (
	Genuine     Forgery = ""
	WrongSecret Forgery = "secret"
	FlippedBit  Forgery = "bit"
)

// Receipt is what became of one delivery.
type Receipt struct {
	Sent   bool   `json:"sent"`             // false: lost on purpose, nothing left the house
	Status int    `json:"status,omitempty"` // 0: no answer
	Error  string `json:"error,omitempty"`  // why there is no answer
}

// DeliveryCounts adds up the deliveries of a run.
type DeliveryCounts struct {
	Sent    int            `json:"sent"`
	Lost    int            `json:"lost"`    // by the fault webhooks-off
	Answers map[string]int `json:"answers"` // by status code; "none" for no answer
}

// webhook is the one that is registered.
type webhook struct{ url, secret string }

// Register sets where deliveries go and the secret that signs them. Only
// loopback addresses are taken: a simulator must not be able to reach others.
func (m *Moveris) Register(rawURL, secret string) error {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("register webhook: %q is not an http or https URL", rawURL)
	}
	if !isLoopback(u.Hostname()) {
		return fmt.Errorf("register webhook: %s is not a loopback address", u.Hostname())
	}
	if secret == "" {
		return fmt.Errorf("register webhook: the secret is empty")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.webhook = webhook{url: rawURL, secret: secret}
	return nil
}

// BuildDelivery returns body and headers of the webhook for a finished
// verification, signed with the registered secret. The same verification
// always gives the same bytes. Both are nil where no event is documented: for
// one that runs, has expired or was cancelled.
func (m *Moveris) BuildDelivery(s Session) (body []byte, header http.Header) {
	body = webhookBody(s)
	if body == nil {
		return nil, nil
	}
	return body, webhookHeader(s, Sign(m.hook().secret, body))
}

// BuildForgery returns a delivery for the same session that tells the opposite
// and whose signature does not hold.
func (m *Moveris) BuildForgery(s Session, how Forgery) (body []byte, header http.Header) {
	s.Outcome = s.Outcome.opposite()
	body = webhookBody(s)
	if how == WrongSecret {
		return body, webhookHeader(s, Sign("not the secret of this webhook", body))
	}
	signature := []byte(Sign(m.hook().secret, body))
	// One bit of the value, not of the letter: it stays lower-case hex.
	signature[len(signature)-1] = flipHex(signature[len(signature)-1])
	return body, webhookHeader(s, string(signature))
}

// flipHex changes one bit of the value of a hex digit.
func flipHex(c byte) byte {
	const digits = "0123456789abcdef"
	return digits[bytes.IndexByte([]byte(digits), c)^1]
}

// Deliver sends the webhook of one verification (0: the latest) to the
// registered URL, once, and says how it was answered. An unanswered delivery
// is no error: it is in the receipt.
func (m *Moveris) Deliver(ctx context.Context, id string, verification int, how Forgery) (Receipt, error) {
	s, ok := m.Verification(id, verification)
	switch {
	case !ok:
		return Receipt{}, fmt.Errorf("deliver %s: %w", id, ErrUnknownSession)
	case !s.Finished():
		return Receipt{}, fmt.Errorf("deliver %s: %w", id, ErrNotFinished)
	case m.hook().url == "":
		return Receipt{}, fmt.Errorf("deliver %s: %w", id, ErrNoWebhook)
	}
	skew, off := m.faults.deliveries()
	if off {
		return m.count(Receipt{}), nil
	}
	s.CreatedAt, s.FinishedAt = s.CreatedAt.Add(skew), s.FinishedAt.Add(skew)
	body, header := m.BuildDelivery(s)
	if body == nil {
		return Receipt{}, fmt.Errorf("deliver %s: %w: %s", id, ErrNoEvent, s.Outcome)
	}
	if how != Genuine {
		body, header = m.BuildForgery(s, how)
	}
	return m.count(m.post(ctx, body, header)), nil
}

func (m *Moveris) post(ctx context.Context, body []byte, header http.Header) Receipt {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.hook().url, bytes.NewReader(body))
	if err != nil {
		return Receipt{Error: err.Error()}
	}
	req.Header = header
	resp, err := m.client.Do(req)
	if err != nil {
		return Receipt{Sent: true, Error: err.Error()}
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, controlBodyMax)) // for the connection's next use
	return Receipt{Sent: true, Status: resp.StatusCode}
}

func (m *Moveris) count(r Receipt) Receipt {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !r.Sent {
		m.counts.Lost++
		return r
	}
	m.counts.Sent++
	m.counts.Answers[answerName(r.Status)]++
	return r
}

// answerName is the key under which answers are counted.
func answerName(status int) string {
	if status == 0 {
		return "none"
	}
	return fmt.Sprint(status)
}

// Deliveries returns the counts so far.
func (m *Moveris) Deliveries() DeliveryCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counts
	c.Answers = maps.Clone(c.Answers)
	return c
}

func (m *Moveris) hook() webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.webhook
}

func deliveryClient() *http.Client {
	return &http.Client{
		Timeout: deliveryTimeout,
		Transport: &http.Transport{
			MaxConnsPerHost: 64, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
