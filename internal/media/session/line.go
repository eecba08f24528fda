package session

import (
	"time"

	"phonesocket/internal/audio/g722"
	"phonesocket/internal/media/rtp"
	"phonesocket/internal/media/sdp"
)

const (
	frameTime = FrameMS * time.Millisecond
	// tolerance is how much too early a tick may come and still send.
	tolerance = frameTime / 2
	// keepAlive is how often one packet of silence keeps the way through a NAT
	// open while the far end holds the call (RFC 6263).
	keepAlive = 5 * time.Second
)

// line is the RTP stream that we send. Its time runs from the first tick on,
// whatever is said: timestamp = first + slot × 160, always.
type line struct {
	header  rtp.Header // of the next packet
	first   uint32     // timestamp of slot 0
	epoch   time.Time  // of slot 0, zero before the first tick
	slot    int64      // the next one
	marker  bool       // the next packet begins a new run
	last    time.Time  // when the last packet was sent
	sent    uint64
	skipped int64         // slots
	g722    *g722.Encoder // nil while it is not needed
	frame   [2 * wideFrame]byte
	packet  [rtp.HeaderSize + wireFrame]byte
}

func newLine(cfg Config) line {
	return line{header: rtp.Header{Sequence: cfg.Sequence, SSRC: cfg.SSRC}, first: cfg.Timestamp, marker: true}
}

// due says how many packets are to be sent now, 0 to 2: one, none when the
// tick is too early, two when one was missed. Time that was missed beyond that
// is skipped.
func (l *line) due(now time.Time) int {
	if l.epoch.IsZero() {
		l.epoch = now
	}
	since := now.Sub(l.epoch)
	if since < time.Duration(l.slot)*frameTime-tolerance {
		return 0
	}
	behind := int64(since/frameTime) - l.slot
	if behind < 1 {
		return 1
	}
	if behind > 1 {
		l.slot += behind - 1
		l.skipped += behind - 1
		l.marker = true
	}
	return 2
}

// timestampAt is the RTP clock at a moment.
func (l *line) timestampAt(now time.Time) uint32 {
	if l.epoch.IsZero() {
		return l.first
	}
	return l.first + uint32(now.Sub(l.epoch).Microseconds()*wireClock/1e6)
}

// Tick sends one packet of 20 ms once started; call it every 20 ms. When ticks
// were missed it sends two, and skips the rest of the time that was missed.
// The speech that waits is not skipped.
func (s *Session) Tick(now time.Time) {
	if !s.started || s.ended {
		return
	}
	s.order.Tick(now)
	s.checkTimeout(now)
	for range s.line.due(now) {
		s.send(now)
		if s.ended {
			return
		}
	}
	s.report(now)
}

// send sends the packet of one slot.
func (s *Session) send(now time.Time) {
	l := &s.line
	s.frame(now, l.packet[rtp.HeaderSize:])
	slot := l.slot
	l.slot++
	if !s.maySend(now) {
		l.marker = true
		return
	}
	h := l.header
	h.PayloadType, h.Marker = s.remote.Codec.PayloadType, l.marker
	h.Timestamp = l.first + uint32(slot*wireFrame)
	h.Put(l.packet[:])
	l.header.Sequence++
	l.marker, l.last = false, now
	l.sent++
	s.reports.octets += wireFrame
	s.cfg.Port.SendRTP(s.latch.Active(), l.packet[:])
}

// frame fills the payload of the packet that is due.
func (s *Session) frame(now time.Time, payload []byte) {
	form := payload
	if s.codec.wideband() {
		form = s.line.frame[:]
	}
	if s.answered.IsZero() || s.held {
		s.queue.Silence(form)
	} else {
		if s.voice != nil && s.queue.Short(now) {
			s.voice.finish(s)
		}
		s.queue.Next(now, form)
		s.sendPassed()
	}
	if !s.codec.wideband() {
		return
	}
	if s.line.g722 == nil {
		s.line.g722 = &g722.Encoder{}
	}
	var pcm [wideFrame]int16
	s.line.g722.Encode(payload, PCM16.decode(pcm[:], form))
}

// maySend says whether a packet leaves in this slot: not to an address of
// zero, not when the stream is inactive, and only now and then on hold.
func (s *Session) maySend(now time.Time) bool {
	to := s.latch.Active()
	switch {
	case s.remote.Addr.Addr().IsUnspecified():
		return false // even if the far end is heard from elsewhere
	case !to.IsValid() || to.Addr().IsUnspecified() || to.Port() == 0:
		return false
	case s.remote.Direction == sdp.Inactive:
		return false
	case s.held:
		return now.Sub(s.line.last) >= keepAlive
	default:
		return true
	}
}
