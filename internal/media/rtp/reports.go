package rtp

import "time"

const (
	// reportInterval is the middle of the time between two of our reports, which
	// "is varied randomly over the range [0.5,1.5] times the calculated interval"
	// (RFC 3550 6.2); the first one comes after half of it.
	reportInterval = 5 * time.Second
	// longestTrip is the longest round trip that is believed.
	longestTrip = 30 * time.Second
	// epochNTP is 1970 in seconds since 1900.
	epochNTP = 2208988800
)

// Reports tells the far end how its stream arrives and how ours runs (RFC 3550
// 6), and learns from it how ours arrives. Its zero value is not usable; use
// NewReports.
type Reports struct {
	ssrc    uint32
	clock   int
	due     time.Time
	chance  uint32
	spoke   uint32 // packets of ours when the last report was sent
	about   uint32 // the stream that the last block was about
	counted uint32 // packets of it that had been expected and had come then
	came    uint64

	theirs   uint32    // LastSR of our next block
	theirsAt time.Time // when that report came

	trip   time.Duration
	lost   int32
	jitter time.Duration
	known  bool
}

// NewReports returns the reports of a call that sends with this SSRC; clock is
// that of RTP, in Hz.
func NewReports(ssrc uint32, clock int) *Reports {
	return &Reports{ssrc: ssrc, clock: max(clock, 1), chance: ssrc | 1}
}

// Due says that a report should be sent now.
func (r *Reports) Due(now time.Time) bool {
	if r.due.IsZero() {
		r.due = now.Add(reportInterval / 2)
	}
	return !now.Before(r.due)
}

// Next is the report to be sent now: own is how our stream runs, in is what
// receives theirs.
func (r *Reports) Next(now time.Time, own SenderInfo, in *Receiver) Report {
	r.chance ^= r.chance << 13
	r.chance ^= r.chance >> 17
	r.chance ^= r.chance << 5
	r.due = now.Add(reportInterval/2 + time.Duration(uint64(reportInterval)*uint64(r.chance>>16)>>16))
	own.NTP = ntp(now)
	// "Sender reports for participants that are active senders", which is who sent
	// since the report before. RFC 3550 6.4.
	out := Report{SSRC: r.ssrc, Sends: own.Packets != r.spoke, Sender: own}
	r.spoke = own.Packets
	if in != nil && in.begun {
		out.Block, out.About = r.block(now, in), true
	}
	return out
}

// block is RFC 3550 A.3.
func (r *Reports) block(now time.Time, in *Receiver) Block {
	b := Block{SSRC: in.ssrc, Highest: in.max, Jitter: uint32(in.jitter), LastSR: r.theirs}
	expected := in.max - in.base + 1
	b.Lost = int32(max(-1<<23, min(int64(expected)-int64(in.here), 1<<23-1)))
	if r.about != in.ssrc || in.here < r.came {
		r.about, r.counted, r.came = in.ssrc, 0, 0
	}
	span, lost := int64(expected-r.counted), int64(expected-r.counted)-int64(in.here-r.came)
	if span > 0 && lost > 0 {
		b.Fraction = uint8(min(lost<<8/span, 255))
	}
	r.counted, r.came = expected, in.here
	if r.theirs != 0 {
		b.Delay = uint32(now.Sub(r.theirsAt).Microseconds() * 65536 / 1e6)
	}
	return b
}

// Heard takes a report of the far end.
func (r *Reports) Heard(now time.Time, in Report) {
	if in.Sends {
		r.theirs, r.theirsAt = uint32(in.Sender.NTP>>16), now
	}
	if !in.About {
		return
	}
	r.known, r.lost = true, in.Block.Lost
	r.jitter = time.Duration(in.Block.Jitter) * time.Second / time.Duration(r.clock)
	if in.Block.LastSR == 0 {
		return // it has not heard a report of ours yet
	}
	// "the round-trip propagation delay [...] as A - LSR - DLSR". RFC 3550 6.4.1.
	trip := int32(uint32(ntp(now)>>16) - in.Block.LastSR - in.Block.Delay)
	if d := time.Duration(trip) * time.Second / 65536; d >= 0 && d <= longestTrip {
		r.trip = d
	}
}

// RoundTrip is the way there and back, 0 until it is known.
func (r *Reports) RoundTrip() time.Duration { return r.trip }

// Far is how many of our packets the far end missed, and the jitter with which
// they came; false until it has said so.
func (r *Reports) Far() (lost int, jitter time.Duration, known bool) {
	return int(r.lost), r.jitter, r.known
}

// ntp is a time in the form of RFC 3550 4.
func ntp(t time.Time) uint64 {
	return uint64(t.Unix()+epochNTP)<<32 | uint64(t.Nanosecond())<<32/1e9
}
