package transaction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

var (
	// ErrTimeout says that no final answer came in time (timers B and F, and
	// 64*T1 after a CANCEL).
	ErrTimeout = errors.New("no answer in time")
	// ErrTransport says that the message could not be delivered; it wraps the
	// reason.
	ErrTransport = errors.New("transport failed")
	// ErrTooMany says that the limit of transactions is reached.
	ErrTooMany = errors.New("too many transactions")
	// ErrInternal says that handling an answer of the transaction panicked.
	ErrInternal = errors.New("internal error while handling a message")
)

// A Sender is the part of transport.Transport that transactions need.
type Sender interface {
	// Send sends a message without blocking; failures come to Layer.Broken.
	Send(to transport.Target, msg []byte)
	// Local returns the address for the Via of requests to a target.
	Local(to transport.Target) netip.AddrPort
}

// Config says how a Layer behaves. Transport, Requests and Logger are
// mandatory.
type Config struct {
	Transport Sender
	// Requests gets each new request, and each ACK of a 2xx, on the loop.
	Requests func(*Server)
	// Stray gets each 2xx of an INVITE that belongs to no transaction any
	// more, on the loop: somebody answered whom nobody waits for. Nil ignores
	// it.
	Stray  func(*sip.Response, transport.Target)
	Logger *slog.Logger

	// T1 is the estimate of the round trip; zero means 500 ms.
	T1 time.Duration
	// T2 is the longest interval between retransmissions; zero means 4 s.
	T2 time.Duration
	// T4 is how long a message stays in the network; zero means 5 s.
	T4 time.Duration
	// Inbox is how many messages of the network may wait for the loop; zero
	// means 4,096. What comes on top is dropped and counted.
	Inbox int
	// MaxTransactions bounds the client and the server transactions, each;
	// zero means 20,000.
	MaxTransactions int
}

func (c *Config) setDefaults() {
	c.T1 = orDefault(c.T1, 500*time.Millisecond)
	c.T2 = orDefault(c.T2, 4*time.Second)
	c.T4 = orDefault(c.T4, 5*time.Second)
	c.Inbox = orDefault(c.Inbox, 4096)
	c.MaxTransactions = orDefault(c.MaxTransactions, 20000)
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Stats counts what happened on the loop.
type Stats struct {
	Shed    uint64 `json:"shed"`    // messages dropped because the loop was behind
	Panics  uint64 `json:"panics"`  // contained panics
	Refused uint64 `json:"refused"` // requests answered 503 at the limit
	Stray   uint64 `json:"stray"`   // answers that belong to nothing
}

// Layer is the SIP loop with its transactions.
type Layer struct {
	cfg   Config
	inbox inbox
	count counters

	// Below: owned by the goroutine of Run.
	clients map[string]*Client
	servers map[string]*Server
	merged  map[string]*Server // by From tag, Call-ID and CSeq
	current func()             // ends the transaction whose message is being handled
}

// New makes a Layer; nothing runs before Run.
func New(cfg Config) *Layer {
	cfg.setDefaults()
	return &Layer{
		cfg:     cfg,
		inbox:   newInbox(cfg.Inbox),
		clients: make(map[string]*Client),
		servers: make(map[string]*Server),
		merged:  make(map[string]*Server),
	}
}

// T1 returns the estimate of the round trip, from which dialogs derive their
// own time-outs.
func (l *Layer) T1() time.Duration { return l.cfg.T1 }

// T2 returns the longest interval between retransmissions.
func (l *Layer) T2() time.Duration { return l.cfg.T2 }

// Stats returns what was counted so far.
func (l *Layer) Stats() Stats { return l.count.stats() }

// Run is the SIP loop. It returns when ctx ends.
func (l *Layer) Run(ctx context.Context) error {
	defer l.inbox.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.inbox.wake:
		}
		for _, f := range l.inbox.take() {
			if ctx.Err() != nil {
				return nil
			}
			l.guarded(f)
		}
	}
}

// guarded runs one function of the inbox; a panic ends the transaction that it
// was about and nothing else.
func (l *Layer) guarded(f func()) {
	l.current = nil
	defer func() {
		if p := recover(); p != nil {
			l.contain(p)
		}
	}()
	f()
}

// Receive takes one message of the network. Any goroutine; drops and counts
// when the loop is behind.
func (l *Layer) Receive(in transport.Incoming) {
	if !l.inbox.offer(func() { l.dispatch(in) }) {
		l.count.shed.Add(1)
	}
}

// Broken takes the news that a target cannot be reached. Any goroutine.
func (l *Layer) Broken(to transport.Target, err error) {
	l.Do(func() { l.broken(to, err) })
}

// Do runs f on the loop, after everything that was posted before. Any
// goroutine; it never blocks.
func (l *Layer) Do(f func()) { l.inbox.post(f) }

// After runs f on the loop when d has passed. Once stop was called on the loop,
// f does not run any more. Any goroutine.
func (l *Layer) After(d time.Duration, f func()) (stop func()) {
	t := &timer{}
	t.t = time.AfterFunc(d, func() {
		l.Do(func() {
			if !t.stopped.Load() {
				f()
			}
		})
	})
	return t.stop
}

// dispatch brings a message to its transaction.
func (l *Layer) dispatch(in transport.Incoming) {
	switch m := in.Msg.(type) {
	case *sip.Request:
		l.request(m, in.From)
	case *sip.Response:
		l.response(m, in.From)
	}
}

// broken ends the transactions that wait for a target. Over UDP only those that
// had no answer at all: one datagram that cannot be sent says nothing about a
// call that rings. What ends a call is repeated by timer E in any case.
func (l *Layer) broken(to transport.Target, err error) {
	var ringing []*Client
	for _, c := range l.clients {
		switch {
		case c.to != to:
		case to.Reliable():
			if c.invite && c.state == proceeding {
				ringing = append(ringing, c)
			}
			c.fail(fmt.Errorf("%w: %w", ErrTransport, err))
		case c.state == calling && c.req.Method != sip.BYE && c.req.Method != sip.CANCEL:
			c.fail(fmt.Errorf("%w: %w", ErrTransport, err))
		}
	}
	// Nobody waits for their answer any more, so the phones are to stop ringing:
	// the CANCEL goes out over a new connection.
	for _, c := range ringing {
		c.sentStop = false
		c.sendCancel()
	}
}
