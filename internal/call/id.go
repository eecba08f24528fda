package call

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// idPrefix stands before every name of a call.
const idPrefix = "call_"

// idDigits are the digits of Crockford's base 32, in the order of their values,
// which is also their order as text; letters that look like digits are missing.
const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// idLength is the length of the part behind the prefix: 48 bits of time in
// milliseconds and 80 of chance, five per digit.
const idLength = 26

// namer makes the names of calls. Names sort in the order in which they were made.
type namer struct {
	mu     sync.Mutex // guards what follows
	last   int64      // the time of the last name, in milliseconds
	chance [10]byte   // and its chance
}

// next returns a new name. A clock that stands still or goes back does not
// disturb the order: then the chance part counts up.
func (n *namer) next(now time.Time) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ms := now.UnixMilli(); ms > n.last {
		n.last = ms
		_, _ = rand.Read(n.chance[:]) // never fails, it ends the process instead
		n.chance[0] &= 0x7f           // room to count up within a millisecond
	} else {
		for i := len(n.chance) - 1; i >= 0; i-- {
			n.chance[i]++
			if n.chance[i] != 0 {
				break
			}
		}
	}
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(n.last)<<16)
	copy(raw[6:], n.chance[:])
	return idPrefix + encodeID(raw)
}

// encodeID writes 128 bits as 26 digits; the first one holds the two zero bits
// that are missing to 130.
func encodeID(raw [16]byte) string {
	high, low := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	var text [idLength]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = idDigits[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(text[:])
}
