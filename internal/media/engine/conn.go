package engine

import (
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

// String returns the name in lower case, for logs.
func (r Role) String() string {
	if r == Listen {
		return "listen"
	}
	return "speak"
}

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

// Conn is one WebSocket: a handle on what a worker owns. It may move between workers, to where its
// call is. Its methods may be called from any goroutine and return at once; commands and the
// messages of the client are carried out in the order in which they came.
type Conn struct {
	engine  *Engine
	cfg     ConnConfig
	carrier carrier
	out     *outbox
	done    chan struct{}
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
	waiting  time.Time // since when an attach is postponed
	joining  bool      // what the session gives now is history and must not be dropped
	drowned  bool      // texts wait in thousands: the client does not read
	scratch  []byte
	heard    time.Time // when the client last sent anything
	pinged   time.Time
	deadline time.Time // of closing
}

// carrier moves the bytes of one WebSocket. All its methods are called on the home worker of the
// Conn, and none blocks.
type carrier interface {
	// start begins to carry. What comes is given to Conn.received, or to Conn.post as connBytes.
	start(w *worker)
	// enter and exit are called when the Conn comes to another worker and leaves one, after start.
	enter(w *worker)
	exit(w *worker)
	// push says that the outbox has something new.
	push()
	// stuck reports whether the client has taken nothing for too long; a carrier may
	// also find that out itself.
	stuck(now time.Time) bool
	// stop lets go of the connection: Conn.finish is called, now or soon.
	stop()
	// close closes the connection, as part of Conn.finish or of an engine that has ended.
	close()
}

func newConn(e *Engine, home *worker, nc net.Conn, cfg ConnConfig) *Conn {
	c := &Conn{
		engine: e, cfg: cfg, home: home,
		out: newOutbox(int(e.cfg.ListenQueue / period)), done: make(chan struct{}),
	}
	if home.poll != nil {
		c.carrier = polledCarrier(c, nc)
	}
	if c.carrier == nil {
		c.carrier = &fedCarrier{conn: c, net: nc}
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
		c.post(connTask{kind: connBytes, buf: append([]byte(nil), buffered...)})
	}
}

// Attach binds the socket to a call; from a call before it is detached. What is asked of m after Attach
// returned happens when the socket is there. Errors: ErrSpeakerTaken, ErrEnded, and net.ErrClosed when
// the socket is gone.
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
	m.arriving.Add(1)
	if !c.post(connTask{kind: connAttach, media: m, seat: seat}) {
		seat.Release()
		m.arrived()
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
