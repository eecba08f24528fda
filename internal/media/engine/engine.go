// Package engine drives the sound of all calls: it owns their sockets and clocks and calls their sessions.
//
// An Engine has a few workers, one goroutine each. A worker owns the calls placed on it
// completely - session, RTP socket, WebSockets after the handshake - so nothing of the sound is
// locked. Bytes reach it in two ways:
//
//   - polled, on Linux: the worker has a thread of its own and an epoll set, and reads and writes RTP
//     sockets and plain TCP connections itself, as raw descriptors (poll_linux.go, rtp_linux.go,
//     polled_linux.go): no goroutine and no allocation per frame;
//   - fed, for everything else: goroutines read and write, and post to the worker through its inbox
//     (rtp_fed.go, fed.go).
//
// Sessions, frames (frames.go) and the life of a socket are the same in both. What leaves for a
// WebSocket goes through a bounded queue: a listener that reads too slowly loses its own oldest
// audio and delays nobody.
//
// Commands of Media and Conn may come from any goroutine, go through the inbox and return at once. A Media
// and a Conn each see theirs in the order in which they were given, and no packet that was sent
// after a command overtakes it. A call is placed on the worker that is measured to have the least
// load; when all are busy or late, Open refuses rather than let running calls suffer.
//
// Run returns when its context has ended and every socket and goroutine is gone.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"phonesocket/internal/media/session"
)

// Errors of Open, TakeSeat and Attach, to be asked for with errors.Is.
var (
	// ErrStopped: the engine was stopped.
	ErrStopped = errors.New("the media engine has stopped")
	// ErrOverloaded: one more call would make those that run suffer.
	ErrOverloaded = errors.New("the media engine is overloaded")
	// ErrNoPort: no RTP port of the range is free.
	ErrNoPort = errors.New("no free rtp port")
	// ErrSpeakerTaken: another socket speaks on this call.
	ErrSpeakerTaken = session.ErrSpeakerTaken
	// ErrEnded: the call is over.
	ErrEnded = session.ErrEnded
)

// Config says how an engine works. The zero value of every field but Logger is usable.
type Config struct {
	// Workers is the number of worker goroutines; 0 means GOMAXPROCS.
	Workers int
	// Bind is the local address of the RTP sockets; the zero value means all IPv4 addresses.
	Bind netip.Addr
	// Ports is the first and the last RTP port, of which the even ones are used; 0,0 means any.
	Ports [2]uint16
	// PingInterval is how often a WebSocket is pinged; 0 means 15 s.
	PingInterval time.Duration
	// PongTimeout is the silence after which a WebSocket counts as dead; 0 means 30 s.
	PongTimeout time.Duration
	// WriteTimeout is how long one write to a WebSocket may take; 0 means PongTimeout.
	WriteTimeout time.Duration
	// CloseTimeout is how long a WebSocket may take to close after it was asked to; 0 means 5 s. When the
	// program ends it is 1 s at most.
	CloseTimeout time.Duration
	// ListenQueue is how much audio may wait for a listener that reads slowly, beside what the
	// session kept for the first listener; 0 means 5 s.
	ListenQueue time.Duration
	// Fed has goroutines read and write every socket, as it is where the system has no epoll, instead
	// of the workers themselves.
	Fed bool
	// TimeNow is the clock; nil means time.Now.
	TimeNow func() time.Time
	// Logger is required.
	Logger *slog.Logger
}

// Engine is the set of workers that carry the sound of all calls.
type Engine struct {
	cfg        Config
	log        *slog.Logger
	workers    []*worker
	checkEvery time.Duration // how often a worker looks after its WebSockets
	adopted    atomic.Uint64
	late       lateReport
}

// New returns an engine that is ready for Open and Adopt; sound flows once Run is called.
func New(cfg Config) (*Engine, error) {
	if cfg.Logger == nil {
		return nil, errors.New("media engine: no logger")
	}
	if cfg.Ports[0] > cfg.Ports[1] || cfg.Ports[0] == 0 && cfg.Ports[1] != 0 {
		return nil, fmt.Errorf("media engine: rtp ports %d-%d are not a range: give the lower one first", cfg.Ports[0], cfg.Ports[1])
	}
	if cfg.Ports[1] != 0 && (cfg.Ports[0]+1)&^1 > cfg.Ports[1] || cfg.Ports[0] == 65535 {
		return nil, fmt.Errorf("media engine: rtp ports %d-%d hold no even port", cfg.Ports[0], cfg.Ports[1])
	}
	cfg.fill()
	e := &Engine{cfg: cfg, log: cfg.Logger}
	e.checkEvery = min(cfg.PingInterval, cfg.PongTimeout, cfg.CloseTimeout) / 4
	e.checkEvery = min(max(e.checkEvery, time.Millisecond), time.Second)
	for range cfg.Workers {
		e.workers = append(e.workers, newWorker(e))
	}
	return e, nil
}

// fill sets what was left at zero.
func (c *Config) fill() {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if !c.Bind.IsValid() {
		c.Bind = netip.IPv4Unspecified()
	}
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&c.PingInterval, 15*time.Second)
	set(&c.PongTimeout, 30*time.Second)
	set(&c.WriteTimeout, c.PongTimeout)
	set(&c.CloseTimeout, 5*time.Second)
	set(&c.ListenQueue, 5*time.Second)
	if c.TimeNow == nil {
		c.TimeNow = time.Now
	}
}

// Run does the work until ctx ends. Then calls go silent, WebSockets are closed with code 1001
// and given CloseTimeout or 1 s to answer; when Run returns every socket is closed. It must be called once.
func (e *Engine) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, w := range e.workers {
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
	return nil
}

// Open binds an RTP port for a call and places the call on the least loaded worker. The call
// stays silent until Media.Start. Errors: ErrOverloaded, ErrNoPort, ErrStopped, or that of the system.
func (e *Engine) Open(cfg MediaConfig) (*Media, error) {
	w, err := e.place()
	if err != nil {
		return nil, err
	}
	socket, err := w.openRTP(e.cfg.Bind, e.cfg.Ports)
	if err != nil {
		return nil, err
	}
	m := newMedia(w, socket, cfg)
	w.placed.Add(1)
	if !w.inbox.put(command(m.open)) {
		w.placed.Add(-1)
		socket.close()
		return nil, ErrStopped
	}
	return m, nil
}

// Adopt takes over a connection after the WebSocket handshake, with the bytes that were read
// beyond it. The connection belongs to the engine from now on, whatever happens.
// It is not bound to a call before Conn.Attach.
func (e *Engine) Adopt(nc net.Conn, buffered []byte, cfg ConnConfig) *Conn {
	w := e.workers[e.adopted.Add(1)%uint64(len(e.workers))]
	c := newConn(e, w, nc, cfg)
	c.begin(buffered)
	return c
}
