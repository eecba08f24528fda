package rtp

import "time"

// Limits of RFC 3550 A.1.
const (
	maxDropout  = 3000
	maxMisorder = 100
)

// Receiver counts what arrives of one stream after another, as RFC 3550 A.1,
// A.3 and A.8 say. Its zero value is not usable; use NewReceiver.
type Receiver struct {
	clock int

	begun     bool
	ssrc      uint32
	base      uint32 // first extended sequence number
	max       uint32 // highest extended sequence number
	bad       uint32 // the number that would make a jump believable, or noBad
	here      uint64 // packets of this stream, for the loss
	received  uint64
	lost      uint64 // of streams that have ended
	restarts  uint64
	timestamp uint32 // of the last packet
	sent      int64  // its timestamp without wrap, from the first packet on
	transit   int64  // its way through the network, plus a constant, in clock units
	epoch     time.Time
	jitter    float64 // in clock units
}

const noBad = 1 << 16

// NewReceiver returns a receiver for streams with this RTP clock, in Hz.
func NewReceiver(clock int) *Receiver { return &Receiver{clock: max(clock, 1), bad: noBad} }

// Packet counts one packet that arrived at now.
func (r *Receiver) Packet(now time.Time, h Header) {
	r.received++
	if !r.begun || h.SSRC != r.ssrc {
		r.restart(now, h)
	} else if !r.sequence(now, h) {
		return
	}
	r.here++
	r.delay(now, h)
}

// sequence is update_seq of RFC 3550 A.1; false means that the packet is not
// believed yet.
func (r *Receiver) sequence(now time.Time, h Header) bool {
	delta := h.Sequence - uint16(r.max)
	switch {
	case delta < maxDropout:
		r.max += uint32(delta)
	case delta <= (1<<16 - 1 - maxMisorder):
		// "The sequence number made a very large jump": two packets in a row
		// mean that the other side restarted without telling us.
		if uint32(h.Sequence) != r.bad {
			r.bad = uint32(h.Sequence + 1)
			return false
		}
		r.restart(now, h)
	default: // duplicate or reordered
	}
	return true
}

func (r *Receiver) restart(now time.Time, h Header) {
	if r.begun {
		r.lost += r.lostHere()
		r.restarts++
	} else {
		r.epoch = now
	}
	r.begun, r.ssrc, r.bad, r.here = true, h.SSRC, noBad, 0
	r.base, r.max = uint32(h.Sequence), uint32(h.Sequence)
	r.timestamp, r.sent, r.transit = h.Timestamp, 0, r.arrival(now)
}

// delay is the interarrival jitter of RFC 3550 A.8: "J += (1/16) * (|D| - J)".
// Packets that share a timestamp, as those of a digit do (RFC 4733 2.2.2), say
// nothing about it after the first.
func (r *Receiver) delay(now time.Time, h Header) {
	if h.Timestamp == r.timestamp {
		return
	}
	r.sent += int64(int32(h.Timestamp - r.timestamp))
	transit := r.arrival(now) - r.sent
	d := transit - r.transit
	r.timestamp, r.transit = h.Timestamp, transit
	if d < 0 {
		d = -d
	}
	r.jitter += (float64(d) - r.jitter) / 16
}

// arrival is now in clock units, from the first packet on.
func (r *Receiver) arrival(now time.Time) int64 {
	return now.Sub(r.epoch).Microseconds() * int64(r.clock) / 1e6
}

// lostHere is RFC 3550 A.3 for the stream that runs: expected minus received,
// not below zero, as doubled packets would have it.
func (r *Receiver) lostHere() uint64 {
	if !r.begun {
		return 0
	}
	expected := uint64(r.max-r.base) + 1
	return expected - min(expected, r.here)
}

// Received is the number of packets of all streams, late and doubled ones
// included.
func (r *Receiver) Received() uint64 { return r.received }

// Lost is the number of packets of all streams that never came.
func (r *Receiver) Lost() uint64 { return r.lost + r.lostHere() }

// Restarts counts changes of SSRC and jumps of the sequence.
func (r *Receiver) Restarts() uint64 { return r.restarts }

// Jitter is the interarrival jitter.
func (r *Receiver) Jitter() time.Duration {
	return time.Duration(r.jitter * float64(time.Second) / float64(r.clock))
}
