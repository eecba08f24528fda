// Package tone hears and plays the digits of a telephone keypad as tones in the sound (DTMF).
//
// A digit is two tones at once, one of four low and one of four high frequencies (ITU-T Q.23). It is for lines on which
// telephone-event (RFC 4733) was not negotiated; where it was, digits do not travel in the sound.
//
// Detectors and generators belong to one stream and one goroutine each. Nothing is allocated while sound runs, and the
// results do not depend on where it is cut into chunks.
package tone

import "strings"

// keys are the digits in the order of their frequencies, the low one first.
const keys = "123A456B789C*0#D"

// Frequencies in Hz (ITU-T Q.23).
//
//nolint:gochecknoglobals // Tables that never change.
var (
	lows  = [4]float64{697, 770, 852, 941}
	highs = [4]float64{1209, 1336, 1477, 1633}
)

// Valid tells whether a byte is a digit: 0 to 9, *, # or A to D.
func Valid(digit byte) bool { return strings.IndexByte(keys, digit) >= 0 }
