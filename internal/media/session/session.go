// Package session is the sound of one call: RTP packets in, audio messages
// out, one tick every 20 ms.
//
// A Session is a value without sockets, clocks, locks or goroutines: time is
// an argument and everything that leaves goes through the interfaces of Config
// and Join. All methods must be called by one owner, with times that do not
// run backwards. Port, Listener and Speaker are called during these methods
// and must not block; they may call Leave and DropSpeaker, nothing else.
//
// From the phone to the sockets: source rule, order, loss, then one conversion
// for each distinct format. From the socket to the phone: conversion to the
// codec of the wire on arrival, then a queue from which each tick takes one
// packet. Where a socket and the wire speak the same codec, bytes pass through
// untouched. Nothing is allocated per tick or per packet once the call is
// running.
package session

import (
	"errors"
	"net/netip"
	"time"

	"phonesocket/internal/media/playout"
	"phonesocket/internal/media/reorder"
	"phonesocket/internal/media/rtp"
	"phonesocket/internal/media/sdp"
)

// Errors of SetSpeaker.
var (
	ErrSpeakerTaken = errors.New("the call has a speaker already")
	ErrEnded        = errors.New("the call has ended")
)

// Limits that hold when Config does not say otherwise.
const (
	DefaultEarlyLimit   = 30 * time.Second
	DefaultBacklogLimit = 30 * time.Second
	DefaultQueueLimit   = 10 * time.Minute
	DefaultRTPTimeout   = 60 * time.Second
)

// Port takes the packets for the phone network. When it has a method SendRTCP of
// the same form, that one gets the reports (RFC 3550 6); else they leave as the
// others do, by the same socket.
type Port interface {
	// SendRTP sends one packet; the bytes are valid during the call only.
	SendRTP(to netip.AddrPort, packet []byte)
}

// Listener is a socket that hears the callee. It must be comparable, as a
// pointer is.
type Listener interface {
	// Audio takes one message of 20 ms in the listener's format, or the WAV
	// header before the first one; the bytes are valid during the call only.
	Audio(frame []byte)
	// Event takes an event of the call.
	Event(Event)
}

// Speaker is the socket whose audio the callee hears. It must be comparable.
type Speaker interface {
	// Event takes an event of the call, or of this speaker's own audio.
	Event(Event)
}

// Config says how a session begins. Only Port is required.
type Config struct {
	// CallID, From, To and Direction are copied into every event.
	CallID, From, To, Direction string
	// SSRC, Timestamp and Sequence are the random first values of our RTP
	// (RFC 3550 5.1).
	SSRC, Timestamp uint32
	Sequence        uint16
	// Port takes our packets.
	Port Port
	// Facts takes what the call should know, or nil. It must not block and must
	// not call the session.
	Facts func(Fact)
	// EarlyLimit is how much speech is kept before the answer, BacklogLimit how
	// much heard audio is kept until the first listener comes, QueueLimit how
	// much speech may wait after the answer. Zero means the default, negative
	// means nothing is kept.
	EarlyLimit, BacklogLimit, QueueLimit time.Duration
	// RTPTimeout is the silence of the network that is reported; zero means the
	// default, negative means never.
	RTPTimeout time.Duration
}

// Session is the sound of one call. Use New.
type Session struct {
	cfg Config

	// The state of the call.
	remote   sdp.Remote
	codec    codec
	started  bool
	ringing  bool
	ended    bool
	held     bool
	answered time.Time // zero before the answer

	// Towards the phone network.
	line  line
	queue *playout.Queue // nil until started
	early early
	voice *voice // nil without a speaker
	cut   []byte // see CutWAV

	// From the phone network.
	latch    rtp.Latch
	receiver *rtp.Receiver
	order    *reorder.Buffer
	kinds    [rtp.Kinds]uint64
	reports  reports
	refused  uint64    // valid packets from elsewhere, or of unknown type
	quiet    time.Time // since when nothing was heard
	timedOut bool
	heardRTP bool

	// Towards the listeners.
	ears ears
	talk talk
}

// New returns a session that waits for Start.
func New(cfg Config) *Session {
	limit := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
		*d = max(*d, 0)
	}
	limit(&cfg.EarlyLimit, DefaultEarlyLimit)
	limit(&cfg.BacklogLimit, DefaultBacklogLimit)
	limit(&cfg.QueueLimit, DefaultQueueLimit)
	limit(&cfg.RTPTimeout, DefaultRTPTimeout)
	return &Session{cfg: cfg}
}

// Start tells where and how RTP is sent: early media, answer or re-INVITE. RTP
// runs from the first tick after the first Start on, with silence when nobody
// speaks. A later Start may change address, codec and hold in mid-call. A
// codec that is not one of Codecs is ignored.
func (s *Session) Start(now time.Time, r sdp.Remote) {
	c, ok := codecOf(r.Codec)
	if s.ended || !ok {
		return
	}
	if !s.started {
		s.begin(now, c)
	} else if c.name != s.codec.name {
		s.change(now, c)
	}
	s.remote, s.quiet = r, now
	s.latch.Describe(now, r.Addr)
	s.hold(now)
}

// begin prepares both directions for the first codec.
func (s *Session) begin(now time.Time, c codec) {
	s.started, s.codec = true, c
	s.line = newLine(s.cfg)
	s.receiver = rtp.NewReceiver(wireClock)
	s.reports = newReports(s.cfg)
	s.order = reorder.New(wireClock, &hearing{s: s})
	s.queue = playout.New(c.queue())
	s.setLimit()
	s.ears.prepare(c)
	s.attend()
	if s.voice != nil {
		s.voice.tune(s.voice.rate, c)
	}
	s.moveEarly(now)
}

// change goes over to another codec: what waits in either direction is
// converted.
func (s *Session) change(now time.Time, c codec) {
	s.order.Flush(now)
	s.order.Reset()
	v := s.voice
	if v != nil {
		v.finish(s)
	}
	s.queue.Recode(c.queue(), recoder(s.codec, c))
	s.setLimit()
	var backlog playout.FIFO
	convert := recoder(s.codec, c)
	s.ears.backlog.Each(func(p []byte) { backlog.Write(convert(p)) })
	s.ears.backlog = backlog
	s.ears.prepare(c)
	if s.talk.speaking {
		s.noticed(false)
	}
	s.codec, s.talk.detector = c, nil
	s.attend()
	if v != nil {
		v.tune(v.rate, c)
	}
	s.line.marker, s.line.g722 = true, nil
}

// recoder converts a stream from the form of one codec to that of another.
func recoder(from, to codec) func([]byte) []byte {
	var t track
	t.tune(from.rate, to)
	var out []byte
	return func(p []byte) []byte {
		out = out[:0]
		for len(p) > 0 {
			n := min(len(p), FrameMS*from.bytesPerMS())
			out = append(out, t.convert(from.encoding.decode(t.in[:], p[:n]), to)...)
			p = p[n:]
		}
		return out
	}
}

// setLimit bounds the queue: by the limit for early speech until the answer.
func (s *Session) setLimit() {
	limit := s.cfg.QueueLimit
	if s.answered.IsZero() {
		limit = min(limit, s.cfg.EarlyLimit)
	}
	s.queue.SetLimit(int(limit.Milliseconds()) * s.codec.bytesPerMS())
}

// hold follows the far end's wish not to hear us; it counts after the answer
// only, since early media is often sent with sendonly.
func (s *Session) hold(now time.Time) {
	held := s.remote.Held && !s.answered.IsZero()
	if held == s.held {
		return
	}
	s.held, s.quiet, s.line.marker = held, now, true
	if held {
		s.tell(Event{Kind: KindHeld})
	} else {
		s.tell(Event{Kind: KindResumed})
	}
}

// Ringing tells all sockets, once, that the callee's telephone rings.
func (s *Session) Ringing(_ time.Time) {
	if s.ringing || s.ended || !s.answered.IsZero() {
		return
	}
	s.ringing = true
	s.tell(Event{Kind: KindRinging})
}

// Answered tells all sockets that the call was answered. Speech that waits
// begins with the next tick, once started.
func (s *Session) Answered(now time.Time) {
	if s.ended || !s.answered.IsZero() {
		return
	}
	s.answered, s.quiet = now, now
	s.ears.answered(s.codec)
	s.tell(Event{Kind: KindAnswered})
	if s.started {
		s.setLimit()
		s.hold(now)
	}
}

// End tells all sockets that the call has ended and stops the sound. After it
// only Stats does something.
func (s *Session) End(now time.Time, e End) {
	if s.ended {
		return
	}
	ev := Event{Kind: KindEnd, Status: e.Status, Reason: e.Reason, SIPCode: e.SIPCode}
	if !s.answered.IsZero() {
		ev.DurationMS = now.Sub(s.answered).Milliseconds()
	}
	ev.DiscardedMS = s.early.discarded / unitsPerMS
	if s.queue != nil {
		c := s.queue.Counts()
		ev.PlayedMS, ev.Underruns = c.PlayedMS, c.Underruns
		ev.DiscardedMS += c.DiscardedMS + c.QueuedMS
		ev.Quality = s.quality()
		if s.line.sent > 0 {
			s.sendReport(now, true)
		}
	}
	s.tell(ev)
	s.ended = true
	s.cut = s.voice.runningWAV()
	s.voice = nil
	s.ears.close()
}

// tell sends an event to all sockets.
func (s *Session) tell(e Event) {
	s.ears.each(func(l Listener, f Format) { l.Event(s.event(e, f)) })
	if s.voice != nil {
		s.voice.who.Event(s.event(e, s.voice.format))
	}
}

// greet tells a new socket what happened so far.
func (s *Session) greet(send func(Event), f Format) {
	send(s.event(Event{Kind: KindStart}, f))
	if s.ringing && s.answered.IsZero() {
		send(s.event(Event{Kind: KindRinging}, f))
	}
	if !s.answered.IsZero() {
		send(s.event(Event{Kind: KindAnswered}, f))
	}
	if s.held {
		send(s.event(Event{Kind: KindHeld}, f))
	}
}

// event completes an event for the socket that gets it.
func (s *Session) event(e Event, f Format) Event {
	e.Call, e.From, e.To, e.Direction = s.cfg.CallID, s.cfg.From, s.cfg.To, s.cfg.Direction
	e.Codec, e.Format = s.codec.name, f
	return e
}

func (s *Session) fact(k FactKind, now time.Time, addr netip.AddrPort) {
	if s.cfg.Facts != nil {
		s.cfg.Facts(Fact{Kind: k, At: now, Addr: addr})
	}
}
