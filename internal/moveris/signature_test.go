package moveris

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// The sample of the webhook setup guide, and its signature as the guide's Python
// formula computes it.
const (
	guideBody = `{
"event": "verification.completed",
"session_id": "550e8400-e29b-41d4-a716-446655440000",
"timestamp": "2026-02-10T15:26:42.123456Z",
"data": {
"verdict": "live",
"real_score": 0.94,
"score": 94.0,
"confidence": 0.94,
"type": "VERY HIGH",
"model": "mixed-10-v2",
"input_source": "rest_frames",
"processing_ms": 845,
"frames_processed": 10,
"tenant_metadata": null,
"warning": null,
"created_at": "2026-02-10T15:26:42.123456Z"
}
}`
	guideSecret    = "whsec_5f0c2a9d7e31"
	guideSignature = "sha256=ba119f02794bcfff8a6ddccc2de1e7767386b50215e73c81a148e7712c211650"
)

func guideVerifier() *Verifier {
	return NewVerifier([]Secret{
		{Account: 0, Label: "other", Key: []byte("another-secret-of-it")},
		{Account: 1, Label: "mixed-10-v2", Key: []byte(guideSecret)},
		{Account: 2, Label: "last", Key: []byte("yet-another-secret")},
	})
}

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestGuideSampleIsAccepted(t *testing.T) {
	s, ok := guideVerifier().Match([]byte(guideBody), guideSignature)
	if !ok || s.Label != "mixed-10-v2" || s.Account != 1 {
		t.Errorf("Match = %v, %v", s, ok)
	}
	d, err := ParseWebhook([]byte(guideBody))
	if err != nil || d.Observation.Ends().Outcome != "live" {
		t.Errorf("ParseWebhook = %+v, %v", d, err)
	}
}

func TestEachFlippedBitIsRefused(t *testing.T) {
	v := guideVerifier()
	body := []byte(guideBody)
	for i := range len(body) * 8 {
		body[i/8] ^= 1 << (i % 8)
		if _, ok := v.Match(body, guideSignature); ok {
			t.Errorf("bit %d of the body flipped: accepted", i)
		}
		body[i/8] ^= 1 << (i % 8)
	}
	for i := range len(guideSignature) * 8 {
		header := []byte(guideSignature)
		header[i/8] ^= 1 << (i % 8)
		if _, ok := v.Match(body, string(header)); ok {
			t.Errorf("bit %d of the header flipped: %q accepted", i, header)
		}
	}
	if _, ok := v.Match(body, guideSignature); !ok {
		t.Error("the body itself is refused after all that")
	}
}

func TestOnlyTheDocumentedFormMatches(t *testing.T) {
	digits := guideSignature[len(signaturePrefix):]
	for _, header := range []string{
		"", "sha256=", digits, "sha1=" + digits, "SHA256=" + digits, "sha256:" + digits,
		"sha256=" + strings.ToUpper(digits), "sha256=" + digits + "0", "sha256=" + digits[1:],
		" " + guideSignature, guideSignature + " ", guideSignature + "\n", "sha256= " + digits[1:],
		guideSignature + "," + guideSignature, "sha256=" + digits[:62] + "zz", "v1,sha256=" + digits,
	} {
		if _, ok := guideVerifier().Match([]byte(guideBody), header); ok {
			t.Errorf("%q accepted", header)
		}
	}
}

func TestEverySecretIsTried(t *testing.T) {
	for i, key := range []string{"another-secret-of-it", guideSecret, "yet-another-secret"} {
		s, ok := guideVerifier().Match([]byte("x"), sign(key, "x"))
		if !ok || s.Account != i {
			t.Errorf("secret %d: %v, %v", i, s, ok)
		}
	}
	twice := NewVerifier([]Secret{{Label: "a", Key: []byte("k")}, {Label: "b", Key: []byte("k")}})
	if s, _ := twice.Match([]byte("x"), sign("k", "x")); s.Label != "a" {
		t.Errorf("of two equal secrets %q is named, want the first", s.Label)
	}
}

// Everybody can sign with an empty key.
func TestEmptySecretMatchesNothing(t *testing.T) {
	v := NewVerifier([]Secret{{Label: "empty"}, {Label: "real", Key: []byte("k")}})
	if _, ok := v.Match([]byte("x"), sign("", "x")); ok {
		t.Error("a body signed with an empty key is accepted")
	}
	if s, ok := v.Match([]byte("x"), sign("k", "x")); !ok || s.Label != "real" {
		t.Errorf("Match = %v, %v", s, ok)
	}
	if _, ok := NewVerifier(nil).Match([]byte("x"), sign("", "x")); ok {
		t.Error("accepted without any secret")
	}
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	v := guideVerifier()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				body := fmt.Sprint("body ", i)
				if s, ok := v.Match([]byte(body), sign(guideSecret, body)); !ok || s.Account != 1 {
					t.Error("refused under concurrency")
				}
				if _, ok := v.Match([]byte(body), guideSignature); ok {
					t.Error("accepted under concurrency")
				}
			}
		})
	}
	wg.Wait()
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := Secret{Label: "mixed", Key: []byte("top-secret")}
	asJSON, _ := json.Marshal(s)
	text := fmt.Sprintf("%v %+v %#v %s %s", s, s, s, []Secret{s}, asJSON)
	if strings.Contains(text, "top-secret") || bytes.Contains(asJSON, []byte("Key")) {
		t.Errorf("the key shows in %s", text)
	}
}

func BenchmarkMatch(b *testing.B) {
	v := guideVerifier()
	body := []byte(guideBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.Match(body, guideSignature); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkParseWebhook(b *testing.B) {
	body := []byte(guideBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseWebhook(body); err != nil {
			b.Fatal(err)
		}
	}
}
