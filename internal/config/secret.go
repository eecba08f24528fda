package config

import (
	"fmt"
	"io"
	"log/slog"
)

// mask is what everyone but Reveal gets to see of a secret.
const mask = "********"

// Secret is a value that is never shown: every way of printing, logging or
// encoding it gives the same eight asterisks, or nothing when it is empty. The
// zero value is the empty secret.
//
// The value hangs on a pointer, since fmt follows none below the top: neither %p
// nor a Secret in an unexported field of something else shows more than an address.
type Secret struct{ value *string }

// NewSecret returns value as a secret.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty says whether there is no secret.
func (s Secret) Empty() bool { return s.value == nil || *s.value == "" }

// String returns the mask.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return mask
}

// Format prints the mask for every verb, so that no format string can reach the
// value by way of fmt's reflection.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue logs the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText encodes the mask; JSON uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON encodes the mask.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// UnmarshalText takes the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
