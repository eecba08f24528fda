// Package reorder puts the packets of one RTP stream in order and waits only
// at gaps.
//
// There is no play-out clock: a packet in order is handed on at once. When one
// is missing, those behind it wait 20 to 120 ms for it, by what the network
// taught; then the hole is reported. The samples that are handed on and
// reported always add up to the RTP time line, also when a sender pauses
// (discontinuous transmission) or the network stalls.
//
// A Buffer belongs to one owner. The time is an argument, and deadlines are
// looked at only in Push and Tick. Nothing is allocated once packets of the
// usual size have waited.
package reorder

import "time"

const (
	// slots is how many packets can wait; a power of two.
	slots = 64
	// maxJump is the largest step of the sequence that is still the same stream.
	maxJump = 3000

	firstWait    = 40 * time.Millisecond
	shortestWait = 20 * time.Millisecond
	longestWait  = 120 * time.Millisecond
	// stepWait bounds how much one late packet adds, beside extraWait.
	stepWait  = 40 * time.Millisecond
	extraWait = 5 * time.Millisecond
	// decayWait is what the wait loses per second.
	decayWait = time.Millisecond

	// stallAfter is how long nothing may come before pauses are reported.
	stallAfter = 200 * time.Millisecond
	// pausePiece is the length of one reported piece of such a pause.
	pausePiece = 20 * time.Millisecond
	// stallCatchUp bounds the pause that one Tick reports after it was late.
	stallCatchUp = time.Second
	// lateRun is how long packets may go on to come too late for the pause that
	// took their place before their clock is believed to have changed.
	lateRun = 60 * time.Millisecond
)

// Buffer is the state of one stream. Use New.
type Buffer struct {
	sink  Sink
	clock int // samples per second

	begun bool
	ssrc  uint32
	next  uint16 // the sequence number that is due
	ts    uint32 // the timestamp that is due

	ring [slots]slot
	held int

	wait    time.Duration
	decayed time.Time
	gone    [slots]farewell

	stallAt   time.Time // when the next piece of a pause is due
	bridged   int       // samples of reported pauses since the last audio
	lateSince time.Time // when packets began to come too late for a pause
	old       uint16    // the sequence number that would prove a restart
	oldSeen   bool
	counts    Counts
}

// slot is one packet that waits.
type slot struct {
	used    bool
	packet  Packet // without payload
	payload []byte
	arrived time.Time
}

// farewell remembers when a packet was given up.
type farewell struct {
	seq  uint16
	at   time.Time
	used bool
}

// New returns an empty buffer for streams with this RTP clock, in Hz.
func New(clock int, sink Sink) *Buffer {
	return &Buffer{sink: sink, clock: max(clock, 1), wait: firstWait}
}

// Counts returns the counters.
func (b *Buffer) Counts() Counts {
	c := b.counts
	c.Wait = b.wait
	return c
}

// Push takes a packet that arrived at now.
func (b *Buffer) Push(now time.Time, p Packet) {
	if !b.begun {
		b.begin(now, p)
	}
	step := int(int16(p.Sequence - b.next))
	if p.SSRC != b.ssrc || step > maxJump || step < -maxJump || b.provesRestart(step, p) {
		b.Flush(now)
		b.restart()
		b.begin(now, p)
		step = 0
	}
	switch {
	case step < 0:
		b.late(now, p)
	case step == 0:
		b.deliver(now, p, false)
		b.drain(now)
	default:
		b.hold(now, p)
	}
	b.expire(now)
}

// Tick looks at the deadlines; call it every 20 ms or so.
func (b *Buffer) Tick(now time.Time) {
	if !b.begun {
		return
	}
	b.expire(now)
	if b.held > 0 || now.Before(b.stallAt) {
		return
	}
	if late := now.Sub(b.stallAt); late > stallCatchUp {
		b.stallAt = now.Add(-stallCatchUp)
	}
	piece := int(pausePiece) * b.clock / int(time.Second)
	for !now.Before(b.stallAt) {
		b.sink.Gap(piece, Pause)
		b.ts += uint32(piece)
		b.bridged += piece
		b.stallAt = b.stallAt.Add(pausePiece)
	}
}

// Flush hands on all that waits, with its gaps.
func (b *Buffer) Flush(now time.Time) {
	for b.held > 0 {
		b.giveUp(now)
	}
}

// Reset forgets the stream; the next packet begins another one. What waits
// should have been flushed before.
func (b *Buffer) Reset() {
	if b.begun {
		b.restart()
	}
	for i := range b.ring {
		b.ring[i].used = false
	}
	b.begun, b.held = false, 0
}

func (b *Buffer) begin(now time.Time, p Packet) {
	b.begun, b.ssrc, b.next, b.ts = true, p.SSRC, p.Sequence, p.Timestamp
	b.oldSeen, b.bridged, b.lateSince = false, 0, time.Time{}
	b.gone = [slots]farewell{}
	b.stallAt = now.Add(stallAfter)
}

func (b *Buffer) restart() {
	b.counts.Restarts++
	b.sink.Restart()
}

// provesRestart says that a packet with an old number belongs to a sender that
// began again: its time goes on though its number does not, or the packets
// before the ring follow each other (RFC 3550 A.1).
func (b *Buffer) provesRestart(step int, p Packet) bool {
	if step >= 0 {
		b.oldSeen = false
		return false
	}
	if p.Content == Audio && int32(p.Timestamp-b.ts) >= 0 {
		return true
	}
	if step >= -slots {
		return false
	}
	if b.oldSeen && p.Sequence == b.old {
		return true
	}
	b.old, b.oldSeen = p.Sequence+1, true
	return false
}

// late counts a packet whose turn is over and learns from it.
func (b *Buffer) late(now time.Time, p Packet) {
	f := &b.gone[p.Sequence%slots]
	if !f.used || f.seq != p.Sequence {
		b.counts.Doubled++
		return
	}
	f.used = false
	b.counts.Late++
	b.decay(now)
	b.wait = min(b.wait+min(now.Sub(f.at), stepWait)+extraWait, longestWait)
}

func (b *Buffer) decay(now time.Time) {
	if !b.decayed.IsZero() {
		lost := time.Duration(now.Sub(b.decayed).Seconds() * float64(decayWait))
		b.wait = max(b.wait-lost, shortestWait)
	}
	b.decayed = now
}

// hold keeps a packet that came before its turn.
func (b *Buffer) hold(now time.Time, p Packet) {
	for b.held > 0 && p.Sequence-b.next >= slots {
		b.giveUp(now)
	}
	if p.Sequence-b.next >= slots {
		b.miss(now, p.Sequence)
	}
	if p.Sequence == b.next {
		b.deliver(now, p, true)
		b.drain(now)
		return
	}
	s := &b.ring[p.Sequence%slots]
	if s.used {
		b.counts.Doubled++
		return
	}
	s.payload = append(s.payload[:0], p.Payload...)
	p.Payload = nil
	s.used, s.packet, s.arrived = true, p, now
	b.held++
}

// expire gives up the gaps that were waited for long enough.
func (b *Buffer) expire(now time.Time) {
	if b.held == 0 {
		return
	}
	b.decay(now)
	for b.held > 0 && now.Sub(b.oldest()) >= b.wait {
		b.giveUp(now)
	}
}

// oldest is the arrival of the packet that waits for longest.
func (b *Buffer) oldest() time.Time {
	var t time.Time
	for i := range b.ring {
		if s := &b.ring[i]; s.used && (t.IsZero() || s.arrived.Before(t)) {
			t = s.arrived
		}
	}
	return t
}

// giveUp goes on with the first packet that waits, and all that follow it.
func (b *Buffer) giveUp(now time.Time) {
	seq := b.next
	for !b.ring[seq%slots].used {
		seq++
	}
	b.miss(now, seq)
	b.take(now, true)
	b.drain(now)
}

// miss notes that the packets before seq did not come.
func (b *Buffer) miss(now time.Time, seq uint16) {
	missing := seq - b.next
	b.counts.Lost += uint64(missing)
	for i := range min(missing, slots) {
		s := seq - 1 - i
		b.gone[s%slots] = farewell{seq: s, at: now, used: true}
	}
	b.next = seq
}

// drain hands on the packets whose turn it is.
func (b *Buffer) drain(now time.Time) {
	for b.held > 0 && b.ring[b.next%slots].used {
		b.take(now, false)
	}
}

// take hands on the packet that waits and whose turn it is.
func (b *Buffer) take(now time.Time, missed bool) {
	s := &b.ring[b.next%slots]
	s.used = false
	b.held--
	p := s.packet
	p.Payload = s.payload
	b.deliver(now, p, missed)
}

// deliver hands on a packet whose turn it is; missed says that packets before
// it were given up.
func (b *Buffer) deliver(now time.Time, p Packet, missed bool) {
	b.next = p.Sequence + 1
	switch {
	case p.Content == Comfort:
		b.stallAt = now
		return
	case p.Content == Other || p.Samples <= 0:
		return
	}
	gap := int(int32(p.Timestamp - b.ts))
	if gap > 2*b.clock || gap < -2*b.clock {
		b.restart()
		gap = 0
		b.bridged = 0
	}
	if gap < 0 && !b.trim(now, &p, -gap) {
		return
	}
	if gap > 0 {
		why := Pause
		if missed {
			why = Lost
		}
		b.sink.Gap(gap, why)
	}
	b.sink.Audio(p)
	b.ts = p.Timestamp + uint32(p.Samples)
	b.bridged, b.lateSince = 0, time.Time{}
	b.stallAt = now.Add(stallAfter)
}

// trim takes away from a packet what a reported pause has already replaced;
// false means that nothing is left. A sender whose clock stood still during
// the pause goes on being late at the pace of speech: then its clock is
// followed instead.
func (b *Buffer) trim(now time.Time, p *Packet, late int) bool {
	late = min(late, b.bridged)
	if late == 0 {
		return true
	}
	if b.lateSince.IsZero() {
		b.lateSince = now
	}
	if now.Sub(b.lateSince) >= lateRun {
		b.restart()
		return true
	}
	b.stallAt = now.Add(stallAfter)
	if late >= p.Samples {
		b.counts.Late++
		return false
	}
	cut := len(p.Payload) * late / p.Samples
	p.Payload = p.Payload[cut:]
	p.Timestamp += uint32(late)
	p.Samples -= late
	return true
}
