package moveris

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"
)

// Secret is one webhook secret. One URL can receive deliveries signed with several,
// and nothing on the wire says which (contract section 1).
type Secret struct {
	Account int    // index of the account that the secret belongs to
	Label   string // names the secret where it may be shown
	Key     []byte // the secret's bytes exactly as Moveris shows them
}

// String shows the label only, so that a secret cannot be printed by mistake.
func (s Secret) String() string { return "secret " + s.Label }

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for logs and JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Verifier checks signatures of deliveries. It is safe for concurrent use.
type Verifier struct {
	secrets []Secret
	pool    sync.Pool // of *macs: keyed states cost more to make than to use
}

// macs are the keyed states of all secrets, used by one Match at a time.
type macs struct {
	states []hash.Hash
	sum    [sha256.Size]byte
	want   [sha256.Size]byte
}

// NewVerifier returns a Verifier of these secrets. A secret without a key is left out:
// everybody can sign with an empty key.
func NewVerifier(secrets []Secret) *Verifier {
	v := &Verifier{secrets: slices.DeleteFunc(slices.Clone(secrets), func(s Secret) bool {
		return len(s.Key) == 0
	})}
	v.pool.New = func() any {
		m := &macs{}
		for _, s := range v.secrets {
			m.states = append(m.states, hmac.New(sha256.New, s.Key))
		}
		return m
	}
	return v
}

const signaturePrefix = "sha256="

// Match returns the secret that signed the body. The header must have the documented
// form, "sha256=" and 64 lower-case hexadecimal digits (contract: webhook setup guide).
// Every secret is tried whatever the others said, and sums are compared in constant
// time, so that the time taken tells a stranger nothing; if several match, the first
// one is returned.
func (v *Verifier) Match(body []byte, header string) (Secret, bool) {
	digits, ok := strings.CutPrefix(header, signaturePrefix)
	if !ok || len(digits) != 2*sha256.Size || strings.ContainsAny(digits, "ABCDEF") {
		return Secret{}, false
	}
	m := v.pool.Get().(*macs)
	defer v.pool.Put(m)
	if !m.read(digits) {
		return Secret{}, false
	}
	found := -1
	for i, mac := range m.states {
		mac.Reset()
		mac.Write(body)
		same := subtle.ConstantTimeCompare(mac.Sum(m.sum[:0]), m.want[:])
		first := same & subtle.ConstantTimeEq(int32(found), -1)
		found = subtle.ConstantTimeSelect(first, i, found)
	}
	if found < 0 {
		return Secret{}, false
	}
	return v.secrets[found], true
}

// read decodes the digits of the header without an allocation.
func (m *macs) read(digits string) bool {
	var src [2 * sha256.Size]byte
	copy(src[:], digits)
	_, err := hex.Decode(m.want[:], src[:])
	return err == nil
}
