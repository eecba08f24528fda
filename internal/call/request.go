package call

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a request.
const (
	MinRing             = 5 * time.Second   // shortest ring time-out
	MaxRing             = 180 * time.Second // longest ring time-out
	MinDuration         = time.Second       // shortest maximal duration
	MaxMetadata         = 20                // most entries of metadata
	MaxMetadataKey      = 40                // longest key, in bytes
	MaxMetadataValue    = 500               // longest value, in bytes
	MaxTo               = 256               // longest number or address, in bytes
	MaxIdempotencyBytes = 255               // longest idempotency key, in bytes
)

// Request asks for a call.
type Request struct {
	To          string            // number or sip: URI as the user wrote it
	CallerID    string            // "" = the account's own
	RingTimeout time.Duration     // 0 = the configured one; else MinRing to MaxRing
	MaxDuration time.Duration     // 0 = the configured one; else MinDuration up to the configured one
	Metadata    map[string]string // kept with the call; not changed after Dial was called
	// Key makes the request repeatable: of all requests with one key only the
	// first that is accepted places a call. "" = no key. Not part of the request
	// when two are compared.
	Key string `json:"-"`
}

// fingerprint tells requests under one key apart.
func (r Request) fingerprint() [sha256.Size]byte {
	if len(r.Metadata) == 0 {
		r.Metadata = nil // empty and missing are the same
	}
	text, err := json.Marshal(r) // map keys come sorted
	if err != nil {
		return [sha256.Size]byte{} // cannot happen: strings and numbers only
	}
	return sha256.Sum256(text)
}

// check finds what is wrong with a request, numbers apart.
func (r Request) check(longest time.Duration) *Error {
	switch {
	case r.To == "":
		return invalid("to", "Say whom to call: a number as in +4930123456, or a sip: URI.")
	case len(r.To) > MaxTo:
		return invalid("to", "The number is longer than %d bytes.", MaxTo)
	case r.RingTimeout != 0 && (r.RingTimeout < MinRing || r.RingTimeout > MaxRing):
		return invalid("ring_timeout_ms", "The ring time-out must be %d to %d ms.", MinRing.Milliseconds(), MaxRing.Milliseconds())
	case r.MaxDuration != 0 && (r.MaxDuration < MinDuration || r.MaxDuration > longest):
		return invalid("max_duration_ms", "The maximal duration must be %d to %d ms; MAX_CALL_DURATION sets the upper limit.",
			MinDuration.Milliseconds(), longest.Milliseconds())
	case !validKey(r.Key):
		return invalid("Idempotency-Key", "The key must be 1 to %d visible ASCII characters.", MaxIdempotencyBytes)
	}
	return checkMetadata(r.Metadata)
}

func checkMetadata(m map[string]string) *Error {
	if len(m) > MaxMetadata {
		return invalid("metadata", "There are %d entries; at most %d are allowed.", len(m), MaxMetadata)
	}
	for k, v := range m {
		switch {
		case k == "" || len(k) > MaxMetadataKey:
			return invalid("metadata", "A key must have 1 to %d bytes; %.60q has %d.", MaxMetadataKey, k, len(k))
		case len(v) > MaxMetadataValue:
			return invalid("metadata", "The value of %q has %d bytes; at most %d are allowed.", k, len(v), MaxMetadataValue)
		case !utf8.ValidString(k) || !utf8.ValidString(v):
			return invalid("metadata", "Keys and values must be valid UTF-8.")
		}
	}
	return nil
}

func validKey(key string) bool {
	if len(key) > MaxIdempotencyBytes {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

// callerID brings the number to show into one form: a plus sign or not, then
// 3 to 15 digits. Whether the account may show it is for the provider to decide.
func callerID(raw string) (string, *Error) {
	if raw == "" {
		return "", nil
	}
	raw = strings.TrimSpace(raw)
	if strings.HasPrefix(raw, "+") {
		raw = strings.Replace(raw, "(0)", "", 1) // +49 (0)30 …: the zero is for callers within the country
	}
	var b strings.Builder
	for i, r := range raw {
		switch {
		case r >= '0' && r <= '9', r == '+' && i == 0:
			b.WriteRune(r)
		case unicode.IsSpace(r), strings.ContainsRune("-/.()", r):
		default:
			return "", invalid("caller_id", "The caller ID must be a number as in +4930123456.")
		}
	}
	id := b.String()
	if rest, found := strings.CutPrefix(id, "00"); found {
		id = "+" + rest
	}
	if n := len(strings.TrimPrefix(id, "+")); n < 3 || n > 15 {
		return "", invalid("caller_id", "The caller ID must have 3 to 15 digits.")
	}
	return id, nil
}
