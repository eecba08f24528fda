package engine

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/media/session"
)

// Role is what a WebSocket is for.
type Role uint8

// The roles: Speak brings the audio that the callee hears, Listen gets the audio of the callee.
const (
	Speak Role = iota
	Listen
)

// Limits of text messages, in bytes.
const (
	maxSpeakText  = 1 << 20
	maxListenText = 64 << 10
)

// ConnConfig says what a WebSocket carries. Dialect is required.
type ConnConfig struct {
	Role Role
	// Format is the format of the binary messages.
	Format session.Format
	// Dialect is the language of the text messages.
	Dialect Dialect
	// Linger keeps the socket open when its call ends: it waits for the next Attach. Without it the
	// socket is closed with code 1000 after the end event.
	Linger bool
	// Seat is the reserved seat of a speaker; the socket releases it in any case.
	Seat *Seat
	// EarlyLimit is how much audio is kept that comes while no call is attached; 0 means
	// session.DefaultEarlyLimit, negative means nothing. Format.DropEarly means nothing too.
	EarlyLimit time.Duration
	// OnDone is called once after Done was closed, or is nil. It may run before Adopt returns, and must not block.
	OnDone func(*Conn)
}

// states of a Conn.
const (
	connNew     uint8 = iota // adopted, not yet begun by a worker
	connOpen                 // carries messages
	connClosing              // a close frame was queued
	connGone                 // let go
)

// reasons of the engine to close.
var (
	closeShutdown = &violation{code: ws.StatusGoingAway, reason: "the gateway is shutting down"}
	closeEnded    = &violation{code: ws.StatusNormalClosure, reason: "the call has ended"}
	closeDetached = &violation{code: ws.StatusInternalServerError, reason: "the call could not take this socket"}
)

// Conn is one WebSocket: a handle on what a worker owns. It may move between workers, to where its
// call is. Its methods may be called from any goroutine and return at once; commands and the
// messages of the client are carried out in the order in which they came.
type Conn struct {
	engine  *Engine
	cfg     ConnConfig
	net     net.Conn
	out     *outbox
	free    chan []byte   // empty buffers of the reader
	stop    chan struct{} // closed when the reader must not wait any more
	done    chan struct{}
	running atomic.Int32 // reader and writer that have not ended
	dropped atomic.Uint64

	mu        sync.Mutex // guards the mailbox
	mailbox   []connTask
	scheduled bool    // in the inbox of home, or at work there
	home      *worker // who owns the rest
	abandoned bool    // nobody will ever take from the mailbox again

	// of the home worker only
	at       *worker // whose sockets this one is among
	state    uint8
	frames   frameReader
	now      time.Time // of the bytes being read
	media    *Media
	seat     *Seat
	early    earlyAudio
	wavDue   bool // the next audio message is a WAV header
	drowned  bool // texts wait in thousands: the client does not read
	scratch  []byte
	heard    time.Time // when the client last sent anything
	pinged   time.Time
	deadline time.Time // of closing
}

// kinds of tasks of a Conn.
const (
	connBegin uint8 = iota
	connBytes
	connAttach
	connDetach
	connClose
	connBroken // the reader or the writer has ended
)

type connTask struct {
	kind   uint8
	own    bool // buf came from outside and does not go back to the reader
	buf    []byte
	media  *Media
	seat   *Seat
	reason *violation
}

func newConn(e *Engine, home *worker, nc net.Conn, cfg ConnConfig) *Conn {
	c := &Conn{
		engine: e, cfg: cfg, net: nc, home: home,
		out:  newOutbox(int(e.cfg.ListenQueue / period)),
		free: make(chan []byte, readBuffers), stop: make(chan struct{}), done: make(chan struct{}),
	}
	c.frames = frameReader{handler: c, maxText: maxSpeakText}
	if cfg.Role == Listen {
		c.frames.maxText = maxListenText
	}
	c.early.init(cfg)
	return c
}

// begin puts the connection in the hands of its worker.
func (c *Conn) begin(buffered []byte) {
	c.post(connTask{kind: connBegin})
	if len(buffered) > 0 {
		c.post(connTask{kind: connBytes, own: true, buf: append([]byte(nil), buffered...)})
	}
}

// Attach binds the socket to a call; from a call before it is detached. Errors: ErrSpeakerTaken,
// ErrEnded, and net.ErrClosed when the socket is gone.
func (c *Conn) Attach(m *Media) error {
	seat := c.cfg.Seat
	switch {
	case m.ended.Load():
		return ErrEnded
	case c.cfg.Role == Listen:
		seat = nil
	case seat == nil || seat.media != m || m.seat.Load() != seat:
		var err error
		if seat, err = m.TakeSeat(); err != nil {
			return err
		}
	}
	if !c.post(connTask{kind: connAttach, media: m, seat: seat}) {
		seat.Release()
		return fmt.Errorf("attach websocket: %w", net.ErrClosed)
	}
	return nil
}

// Detach takes the socket away from its call and lets it wait for the next one.
func (c *Conn) Detach() { c.post(connTask{kind: connDetach}) }

// Close sends what waits and then a close frame with code and reason (at most 123 bytes of it), and
// gives the peer CloseTimeout to answer.
func (c *Conn) Close(code int, reason string) {
	c.post(connTask{kind: connClose, reason: &violation{code: ws.StatusCode(code), reason: reason}})
}

// Done is closed when the connection is closed and its goroutines have ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Dropped is how many messages of audio this listener lost because it reads too slowly.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// post puts a task into the mailbox; false means that nobody will take it out.
func (c *Conn) post(t connTask) bool {
	c.mu.Lock()
	if c.abandoned {
		c.mu.Unlock()
		return false
	}
	c.mailbox = append(c.mailbox, t)
	wake, home := !c.scheduled, c.home
	c.scheduled = true
	c.mu.Unlock()
	if wake && !home.inbox.put(c) {
		c.abandon()
		return false
	}
	return true
}

// take returns the next task. Without one the Conn leaves the inbox of its worker.
func (c *Conn) take() (connTask, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mailbox) == 0 {
		c.scheduled = false
		return connTask{}, false
	}
	t := c.mailbox[0]
	n := copy(c.mailbox, c.mailbox[1:])
	c.mailbox[n] = connTask{}
	c.mailbox = c.mailbox[:n]
	return t, true
}

// abandon is the end of a Conn whose worker has ended. Goroutines that were started are
// stopped by the worker before that, so only what never began is closed here.
func (c *Conn) abandon() {
	c.mu.Lock()
	first := !c.abandoned
	c.abandoned = true
	rest := c.mailbox
	c.mailbox = nil
	c.mu.Unlock()
	for _, t := range rest {
		t.seat.Release()
		if t.kind == connBegin {
			c.finish()
		}
	}
	if first {
		c.cfg.Seat.Release()
	}
}

// finish closes the connection; by then neither the reader nor the writer runs.
func (c *Conn) finish() {
	c.net.Close()
	close(c.done)
	if c.cfg.OnDone != nil {
		c.cfg.OnDone(c)
	}
}

// run does what is in the mailbox, on the home worker. When the Conn has to move to the worker of
// its call it stops, and that worker goes on with the same mailbox: so nothing is overtaken.
func (c *Conn) run(w *worker, now time.Time) {
	if c.at != w && c.state != connGone {
		c.at = w
		w.admit(c, now)
	}
	for {
		t, ok := c.take()
		if !ok {
			return
		}
		if t.kind == connAttach && c.move(w, t) {
			return
		}
		c.do(w, now, t)
	}
}

func (c *Conn) do(w *worker, now time.Time, t connTask) {
	switch t.kind {
	case connBegin:
		c.open(w, now)
	case connBytes:
		c.read(now, t)
	case connAttach:
		c.attach(now, t)
	case connDetach:
		c.leave(now)
	case connClose:
		c.beginClose(now, t.reason)
	case connBroken:
		c.drop(now)
	}
}

// move hands the Conn and its mailbox to the worker of the call in t, if that is another one.
func (c *Conn) move(from *worker, t connTask) bool {
	to := t.media.worker
	if to == from || c.state != connOpen {
		return false
	}
	c.leave(from.engine.cfg.TimeNow())
	delete(from.conns, c)
	c.mu.Lock()
	c.mailbox = append([]connTask{t}, c.mailbox...)
	c.home = to
	c.mu.Unlock()
	if to.inbox.put(c) {
		return true
	}
	// That worker has ended, so all are ending.
	c.mu.Lock()
	c.home = from
	c.mu.Unlock()
	c.drop(from.engine.cfg.TimeNow())
	c.abandon()
	return true
}

// open starts the goroutines of the socket.
func (c *Conn) open(w *worker, now time.Time) {
	if w.ending {
		c.state = connGone
		delete(w.conns, c)
		c.finish()
		c.abandon()
		return
	}
	c.state, c.heard, c.pinged = connOpen, now, now
	c.startFed(w)
}

// read takes the bytes of the client apart and gives the buffer back to the reader.
func (c *Conn) read(now time.Time, t connTask) {
	if c.state == connOpen || c.state == connClosing {
		c.heard, c.now = now, now
		if bad := c.frames.feed(t.buf); bad != nil {
			c.beginClose(now, bad)
		}
	}
	if !t.own {
		c.free <- t.buf[:cap(t.buf)] // never waits: the channel has room for all buffers of this reader
	}
}

// attach joins the session of a call of the same worker.
func (c *Conn) attach(now time.Time, t connTask) {
	if c.state != connOpen || t.media == c.media {
		if t.seat != c.seat {
			t.seat.Release()
		}
		return
	}
	c.leave(now)
	if err := c.join(now, t.media, t.seat); err != nil {
		t.seat.Release()
		c.refused(now, err)
	}
}

func (c *Conn) join(now time.Time, m *Media, seat *Seat) error {
	if m.finished {
		return ErrEnded
	}
	c.media, c.seat = m, seat
	m.conns[c] = struct{}{}
	var err error
	if c.cfg.Role == Speak {
		m.speakers++
		err = m.session.SetSpeaker(now, (*speaker)(c), c.cfg.Format)
	} else {
		c.wavDue = c.cfg.Format.WAV
		c.out.raise(int((c.engine.cfg.ListenQueue + max(m.backlog, 0)) / period))
		m.session.Join(now, (*listener)(c), c.cfg.Format)
	}
	if err != nil {
		delete(m.conns, c)
		c.media, c.seat = nil, nil
		if c.cfg.Role == Speak {
			m.speakers--
		}
		return err
	}
	if len(m.conns) == 1 {
		m.tell(Fact{Kind: SocketsPresent, At: now})
	}
	if c.cfg.Role == Speak {
		c.early.replay(now, m.session)
	}
	return nil
}

// refused tells the client why its call did not take it.
func (c *Conn) refused(now time.Time, err error) {
	switch {
	case c.cfg.Linger:
		if !errors.Is(err, ErrEnded) {
			c.event(session.Event{Kind: session.KindError, Code: CodeNotAttached, Message: err.Error()})
		}
	case errors.Is(err, ErrEnded):
		c.beginClose(now, closeEnded)
	default:
		c.event(session.Event{Kind: session.KindError, Code: CodeNotAttached, Message: err.Error()})
		c.beginClose(now, closeDetached)
	}
}

// leave takes the socket out of its call.
func (c *Conn) leave(now time.Time) {
	m := c.media
	if m == nil {
		return
	}
	c.media = nil
	delete(m.conns, c)
	if c.cfg.Role == Speak {
		m.speakers--
		m.session.DropSpeaker(now, (*speaker)(c))
		c.seat.Release()
		c.seat = nil
		m.tell(Fact{Kind: SpeakerGone, At: now})
	} else {
		m.session.Leave(now, (*listener)(c))
	}
	if len(m.conns) == 0 {
		m.tell(Fact{Kind: SocketsGone, At: now})
	}
}

// callEnded lets go of the call: the socket waits for the next one or is closed.
func (c *Conn) callEnded(now time.Time) {
	c.leave(now)
	if !c.cfg.Linger {
		c.beginClose(now, closeEnded)
	}
}

// beginClose queues a close frame behind what waits.
func (c *Conn) beginClose(now time.Time, why *violation) {
	if c.state != connOpen {
		return
	}
	c.leave(now)
	c.state = connClosing
	c.deadline = now.Add(c.engine.cfg.CloseTimeout)
	c.out.close(why.code, why.reason)
}

// drop lets go of the socket at once. The goroutines see the deadline in the past and end;
// closing is left to them, because it can block.
func (c *Conn) drop(now time.Time) {
	if c.state != connOpen && c.state != connClosing {
		return
	}
	c.leave(now)
	c.state = connGone
	c.cfg.Seat.Release()
	delete(c.at.conns, c)
	c.stopFed()
}

// check is called now and then: it pings, and gives up what is dead.
//
// "A Ping frame may serve either as a keepalive or as a means to verify that the remote
// endpoint is still responsive." RFC 6455 section 5.5.2.
func (c *Conn) check(now time.Time) {
	cfg := &c.engine.cfg
	switch {
	case c.state == connClosing:
		if !now.Before(c.deadline) {
			c.drop(now)
		}
	case c.drowned:
		c.engine.log.Info("websocket given up: it asks but does not read")
		c.drop(now)
	case now.Sub(c.heard) >= cfg.PongTimeout:
		c.engine.log.Info("websocket given up: no sign of life", "silent_ms", now.Sub(c.heard).Milliseconds())
		c.drop(now)
	case now.Sub(c.pinged) >= cfg.PingInterval:
		c.pinged = now
		c.out.ping()
	}
}

// event sends a text message.
func (c *Conn) event(e session.Event) {
	text, ok := c.cfg.Dialect.AppendEvent(c.scratch[:0], e)
	c.scratch = text[:0]
	if !ok {
		return
	}
	if _, ok := c.out.put(outText, text); !ok {
		c.drowned = true
	}
}
