package config

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Secret is a reference and the value found behind it. However it is printed,
// logged or marshalled, on its own or inside another value, only the reference
// shows. The zero Secret stands for an optional secret that is not set.
type Secret struct {
	// Ref is the reference as written: file:/path, env:NAME, credential:NAME.
	Ref string

	value    []byte
	resolved bool
}

// Bytes returns a copy of the value; nil when it is not resolved.
func (s Secret) Bytes() []byte { return bytes.Clone(s.value) }

// Resolved reports whether the value is known. It is false for a secret that
// is not set and for a credential outside the service.
func (s Secret) Resolved() bool { return s.resolved }

// Equal reports whether both have the same reference and the same value; a
// reload uses it to tell what changed. It takes constant time in the value.
func (s Secret) Equal(other Secret) bool {
	return s.Ref == other.Ref && s.resolved == other.resolved &&
		subtle.ConstantTimeCompare(s.value, other.value) == 1
}

// same reports whether two secrets cannot be told apart: by value when both are
// known, by reference when they are not.
func (s Secret) same(other Secret) bool {
	if s.resolved && other.resolved {
		return subtle.ConstantTimeCompare(s.value, other.value) == 1
	}
	return s.Ref != "" && s.Ref == other.Ref
}

// Format answers every verb of fmt with the reference. Without it %d and %x
// would walk into the unexported bytes.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || (verb == 'v' && f.Flag('#')) {
		fmt.Fprintf(f, "%q", s.Ref)
		return
	}
	fmt.Fprint(f, s.Ref)
}

// String returns the reference.
func (s Secret) String() string { return s.Ref }

// GoString returns the quoted reference.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.Ref) }

// MarshalJSON writes the reference.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.Ref) }

// MarshalText writes the reference.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Ref), nil }

// LogValue logs the reference.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.Ref) }
