package phonenet

import (
	"math"
	"net/netip"
	"time"
)

// RTP is what is known about the sound of one call. Counters start at 0 with the call.
type RTP struct {
	Local, Remote  netip.AddrPort // our socket; where we send to (learned from what comes)
	Codec          string         // PCMA or PCMU
	Received       int            // packets of the stream, without duplicates
	Lost           int            // sequence numbers that never came
	Duplicates     int
	Reordered      int           // came after a later one
	Foreign        int           // no RTP, another payload type or not from the caller
	Streams        int           // SSRCs seen
	TimestampJumps int           // the timestamp did not follow the sequence number and the payload
	Gaps           []Gap         // the first holes in the sequence
	First, Last    time.Time     // arrival of the first and the last packet
	MaxGap         time.Duration // longest time without a packet between First and Last
	Jitter         time.Duration // RFC 3550 6.4.1, as it is now
	Digits         string        // telephone-events heard (RFC 4733), the first 64
	Sent           int           // packets sent
	Recorded       time.Duration // length of the recording so far
}

// Gap is a hole in the sequence numbers of the packets received.
type Gap struct {
	After   uint16 // sequence number before the hole
	Missing int
	At      time.Time // when the packet after it came
}

const (
	maxGaps   = 100
	maxDigits = 64
	maxJump   = 3000 // RFC 3550 A.1 MAX_DROPOUT: a bigger jump is a new start
)

// receiver counts one stream after another. It belongs to the call's media
// goroutine and takes the time as an argument.
type receiver struct {
	stats    RTP
	started  bool
	ssrc     uint32
	highest  uint64 // highest extended sequence number
	window   uint64 // bit i: highest-i was received
	base     uint64
	unique   int // packets since base
	lost     int // of the streams before this one
	ts       uint32
	size     int    // payload samples of the packet at highest
	previous uint32 // timestamp of the packet before
	event    uint32 // timestamp of the last digit
	digits   bool   // event is valid
}

// arrival is one packet as the counters need it.
type arrival struct {
	ssrc, timestamp uint32
	sequence        uint16
	samples         int // of the payload, 0 for a telephone-event
}

// count takes note of a packet and reports whether it is new: not a duplicate.
func (r *receiver) count(now time.Time, a arrival) bool {
	if !r.started || a.ssrc != r.ssrc {
		r.begin(a)
		r.stats.Streams++
	}
	seq := r.highest + uint64(int64(int16(a.sequence-uint16(r.highest))))
	ahead := int64(seq - r.highest)
	if ahead > maxJump || ahead < -maxJump {
		r.begin(a)
		seq, ahead = r.highest, 0
	}
	switch {
	case r.unique == 0:
		r.window = 1
	case ahead > 0:
		r.advance(now, a, ahead)
	case -ahead >= 64 || r.window>>uint(-ahead)&1 == 1:
		r.stats.Duplicates++
		return false
	default:
		r.stats.Reordered++
		r.window |= 1 << uint(-ahead)
	}
	if ahead >= 0 {
		r.highest, r.ts, r.size = seq, a.timestamp, a.samples
	}
	r.unique++
	r.stats.Received++
	r.stats.Lost = max(0, r.lost+int(r.highest-r.base)+1-r.unique)
	r.clock(now, a)
	return true
}

// begin starts counting anew at the packet.
func (r *receiver) begin(a arrival) {
	r.lost = r.stats.Lost
	r.started, r.ssrc, r.unique, r.window = true, a.ssrc, 0, 0
	r.highest = 1<<32 | uint64(a.sequence) // high enough that earlier ones do not fall below 0
	r.base, r.ts, r.size = r.highest, a.timestamp, 0
}

func (r *receiver) advance(now time.Time, a arrival, ahead int64) {
	if ahead >= 64 {
		r.window = 0
	} else {
		r.window <<= uint(ahead)
	}
	r.window |= 1
	if ahead > 1 && len(r.stats.Gaps) < maxGaps {
		r.stats.Gaps = append(r.stats.Gaps, Gap{After: uint16(r.highest), Missing: int(ahead - 1), At: now})
	}
	if a.samples > 0 && r.size > 0 && a.timestamp-r.ts != uint32(ahead)*uint32(r.size) {
		r.stats.TimestampJumps++
	}
}

func (r *receiver) clock(now time.Time, a arrival) {
	if r.stats.First.IsZero() {
		r.stats.First, r.stats.Last = now, now
	}
	arrived := now.Sub(r.stats.Last)
	r.stats.MaxGap = max(r.stats.MaxGap, arrived)
	r.stats.Last = now
	if r.unique > 1 {
		d := arrived.Seconds()*clockRate - float64(int32(a.timestamp-r.previous))
		jitter := r.stats.Jitter.Seconds() * clockRate
		jitter += (math.Abs(d) - jitter) / 16
		r.stats.Jitter = time.Duration(jitter / clockRate * float64(time.Second))
	}
	r.previous = a.timestamp
}

// digit takes note of a telephone-event; every packet of one digit has the same
// timestamp (RFC 4733 2.2.2).
func (r *receiver) digit(timestamp uint32, payload []byte) {
	const names = "0123456789*#ABCD"
	if len(payload) < 4 || int(payload[0]) >= len(names) || r.digits && r.event == timestamp {
		return
	}
	r.event, r.digits = timestamp, true
	if len(r.stats.Digits) < maxDigits {
		r.stats.Digits += names[payload[0] : payload[0]+1]
	}
}
