package engine

import (
	"context"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
)

// MediaConfig says how the sound of one call begins.
type MediaConfig struct {
	// Session is the configuration of the session; the engine fills in Port and Facts.
	Session session.Config
	// OnEvent takes what the call should know, or is nil. It runs on the worker: it must not
	// block and must not wait for the engine.
	OnEvent func(Fact)
}

// FactKind says what a Fact tells.
type FactKind uint8

// The kinds of facts.
const (
	// FirstRTP: the first packet of the callee was heard; Addr is its source.
	FirstRTP FactKind = iota
	// RTPTimeout: the network is silent for session.Config.RTPTimeout though the call is answered and not held.
	RTPTimeout
	// RTPResumed: packets come again after an RTPTimeout.
	RTPResumed
	// SourceMoved: RTP now goes to and comes from Addr instead of the address of the session description.
	SourceMoved
	// SocketsPresent: a first socket is attached to the call.
	SocketsPresent
	// SpeakerGone: the socket that spoke has left.
	SpeakerGone
	// SocketsGone: no socket is attached any more.
	SocketsGone
)

// String returns the name in snake case, for logs.
func (k FactKind) String() string {
	names := [...]string{"first_rtp", "rtp_timeout", "rtp_resumed", "source_moved", "sockets_present", "speaker_gone", "sockets_gone"}
	if int(k) < len(names) {
		return names[k]
	}
	return "fact " + strconv.Itoa(int(k))
}

// Fact is something a call should know about its sound and its sockets.
type Fact struct {
	Kind FactKind
	At   time.Time
	// Addr is the source of RTP, of FirstRTP and SourceMoved.
	Addr netip.AddrPort
	// Speakers and Listeners are the sockets attached now.
	Speakers, Listeners int
}

// Media is the sound of one call: a handle on what a worker owns. Its methods may be called from
// any goroutine; the commands return at once and are carried out in the order in which they were given.
type Media struct {
	worker  *worker
	rtp     rtpSocket
	onEvent func(Fact)
	seat    atomic.Pointer[Seat]
	ended   atomic.Bool
	final   atomic.Pointer[session.Stats] // set when the session is gone
	missed  atomic.Uint64                 // frames that slow listeners of this call lost
	// arriving counts sockets whose Attach has returned and which are not there yet.
	arriving atomic.Int32

	// of the worker only
	session  *session.Session
	conns    map[*Conn]struct{}
	speakers int
	slot     int // place in the wheel
	place    int
	ticking  bool
	delayed  []func(now time.Time) // commands that wait for arriving sockets
	finished bool                  // after End: no sound any more
	shutDown bool                  // after Close
}

// Stats are the counters of one call: those of its session, and those of its sockets.
type Stats struct {
	session.Stats
	// ListenDroppedMS is the audio that slow listeners lost, summed over them.
	ListenDroppedMS int64 `json:"listen_dropped_ms"`
	// RTPPacketsOverrun counts packets that came faster than the machine could take them.
	RTPPacketsOverrun uint64 `json:"rtp_packets_overrun"`
	// RTPSendErrors counts packets the system refused to send.
	RTPSendErrors uint64 `json:"rtp_send_errors"`
	// Speakers is the number of sockets that speak: 0 or 1.
	Speakers int `json:"speakers"`
}

func newMedia(w *worker, socket rtpSocket, cfg MediaConfig) *Media {
	m := &Media{worker: w, rtp: socket, onEvent: cfg.OnEvent, conns: map[*Conn]struct{}{}}
	cfg.Session.Port = socket
	cfg.Session.Facts = func(f session.Fact) {
		if kind, ok := factKind(f.Kind); ok {
			m.tell(Fact{Kind: kind, At: f.At, Addr: f.Addr})
		}
	}
	m.session = session.New(cfg.Session)
	return m
}

func factKind(k session.FactKind) (FactKind, bool) {
	switch k {
	case session.FirstRTP:
		return FirstRTP, true
	case session.RTPTimeout:
		return RTPTimeout, true
	case session.RTPResumed:
		return RTPResumed, true
	case session.SourceMoved:
		return SourceMoved, true
	default:
		return 0, false
	}
}

// Addr is the local address of the RTP socket; its IP is unspecified when the engine is bound to all addresses.
func (m *Media) Addr() netip.AddrPort { return m.rtp.addr() }

// Start tells where RTP goes and in which codec: for early media, the answer and every later change.
func (m *Media) Start(r sdp.Remote) {
	m.do(func(now time.Time) {
		if !m.ticking {
			m.ticking = true
			m.worker.wheel.add(now, m)
		}
		m.session.Start(now, r)
		m.rtp.follow(now)
	})
}

// Ringing tells the sockets that the callee rings.
func (m *Media) Ringing() { m.do(func(now time.Time) { m.session.Ringing(now) }) }

// Answered tells the sockets that the call is answered, and lets queued speech begin.
func (m *Media) Answered() { m.do(func(now time.Time) { m.session.Answered(now) }) }

// End ends the sound of the call: its sockets get the end event; those bound to this call are
// closed with code 1000, those of the line go back to waiting. RTP stops. The port is kept until Close.
func (m *Media) End(end session.End) {
	m.ended.Store(true)
	m.do(func(now time.Time) { m.finish(now, end) })
}

// Close frees the port and lets go of every socket. A call that did not End before ends without a word.
func (m *Media) Close() {
	m.ended.Store(true)
	m.do(m.shut)
}

// Ended reports whether End or Close was called.
func (m *Media) Ended() bool { return m.ended.Load() }

// Stats returns the counters as they are now, or as they were at the end.
func (m *Media) Stats(ctx context.Context) (Stats, error) {
	reply := make(chan session.Stats, 1)
	ask := command(func(_ *worker, now time.Time) {
		if !m.shutDown {
			m.rtp.tally()
			reply <- m.session.Stats(now)
			return
		}
		reply <- *m.final.Load()
	})
	if !m.worker.inbox.put(ask) {
		if last := m.final.Load(); last != nil {
			return m.stats(*last), nil
		}
		return Stats{}, ErrStopped
	}
	select {
	case s := <-reply:
		return m.stats(s), nil
	case <-ctx.Done():
		return Stats{}, context.Cause(ctx)
	}
}

func (m *Media) stats(s session.Stats) Stats {
	all := Stats{Stats: s, ListenDroppedMS: int64(m.missed.Load()) * session.FrameMS}
	all.RTPPacketsOverrun, all.RTPSendErrors = m.rtp.count()
	if m.seat.Load() != nil {
		all.Speakers = 1
	}
	return all
}

// do runs f on the worker, after the sockets that are about to arrive, unless the call is shut down before.
func (m *Media) do(f func(now time.Time)) {
	m.worker.inbox.put(command(func(_ *worker, now time.Time) {
		m.delayed = append(m.delayed, f)
		m.settle(now)
	}))
}

// settle carries out the commands that wait, unless sockets are still to arrive.
func (m *Media) settle(now time.Time) {
	for len(m.delayed) > 0 && m.arriving.Load() == 0 {
		f := m.delayed[0]
		m.delayed = m.delayed[1:]
		if !m.shutDown {
			f(now)
		}
	}
}

// arrived tells that a socket is there or will never come. It runs on any goroutine.
func (m *Media) arrived() {
	if m.arriving.Add(-1) == 0 {
		m.worker.inbox.put(command(func(_ *worker, now time.Time) { m.settle(now) }))
	}
}

// open begins the life of the call on its worker.
func (m *Media) open(w *worker, now time.Time) {
	w.medias[m] = struct{}{}
	if w.ending {
		m.shut(now)
		return
	}
	m.rtp.start(m)
}

// tick is what the wheel calls every 20 ms.
func (m *Media) tick(now time.Time) {
	m.rtp.follow(now)
	m.session.Tick(now)
}

// finish carries out End.
func (m *Media) finish(now time.Time, end session.End) {
	if m.finished {
		return
	}
	m.finished = true
	m.onEvent = nil // what follows from the end is not news
	m.stopTicking()
	m.session.End(now, end)
	for c := range m.conns {
		c.callEnded(now)
	}
}

func (m *Media) stopTicking() {
	if m.ticking {
		m.ticking = false
		m.worker.wheel.remove(m)
	}
}

// shut ends the life of the call: the last counters are kept, everything else is let go.
func (m *Media) shut(now time.Time) {
	if m.shutDown {
		return
	}
	m.ended.Store(true)
	m.finished, m.onEvent = true, nil
	m.stopTicking()
	for c := range m.conns {
		c.callEnded(now)
	}
	last := m.session.Stats(now)
	m.final.Store(&last)
	m.shutDown = true
	m.rtp.stop(m.worker)
	delete(m.worker.medias, m)
	m.worker.placed.Add(-1)
}

// tell hands a fact to the call.
func (m *Media) tell(f Fact) {
	if m.onEvent == nil {
		return
	}
	f.Speakers, f.Listeners = m.speakers, len(m.conns)-m.speakers
	m.onEvent(f)
}

// Seat is the right to be the one speaker of a call.
type Seat struct{ media *Media }

// TakeSeat reserves the seat of the speaker, so that a handshake can be refused before it is
// answered. Errors: ErrSpeakerTaken, ErrEnded. The seat goes into ConnConfig, or back with Release.
func (m *Media) TakeSeat() (*Seat, error) {
	if m.ended.Load() {
		return nil, ErrEnded
	}
	s := &Seat{media: m}
	if !m.seat.CompareAndSwap(nil, s) {
		return nil, ErrSpeakerTaken
	}
	return s, nil
}

// Release gives the seat back. It may be called twice, and on nil.
func (s *Seat) Release() {
	if s != nil {
		s.media.seat.CompareAndSwap(s, nil)
	}
}
