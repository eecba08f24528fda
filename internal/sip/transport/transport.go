package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Names of the networks of a Target.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls"
)

// MaxDatagram is the largest message that fits into one UDP datagram over IPv4,
// in bytes.
const MaxDatagram = 65507

var (
	// ErrTooLarge says that a message does not fit into a datagram.
	ErrTooLarge = errors.New("message is larger than a datagram")
	// ErrTooManyFlows says that Config.MaxFlows connections are open already.
	ErrTooManyFlows = errors.New("too many connections are open")
	// ErrCongested says that the peer does not read what is written to it.
	ErrCongested = errors.New("the peer does not read: the queue of the connection is full")
	// ErrDead says that the peer no longer answers keep-alive pings.
	ErrDead = errors.New("no answer to a keep-alive ping")
	// ErrHandshake says that a connection was opened on which TLS did not come about.
	ErrHandshake = errors.New("tls handshake")
	// ErrICMP says that the network or the peer's host refused a datagram.
	ErrICMP = errors.New("refused by icmp")
	// ErrNetwork says that a Target names a network that does not exist.
	ErrNetwork = errors.New("network is none of udp, tcp, tls")
	// ErrClosed says that the transport has stopped.
	ErrClosed = errors.New("transport is closed")
)

// A Target is where a message goes to or comes from.
type Target struct {
	// Network is "udp", "tcp" or "tls".
	Network string
	// Addr is the address of the peer.
	Addr netip.AddrPort
	// ServerName is the name that a TLS certificate has to prove, also sent
	// as SNI; unused elsewhere.
	ServerName string
}

// Reliable reports whether the network repeats lost packets by itself, so that
// transactions need no retransmission of their own (RFC 3261 section 17).
func (t Target) Reliable() bool { return t.Network != UDP }

// String returns the target as network:address.
func (t Target) String() string { return t.Network + ":" + t.Addr.String() }

// Incoming is one message that passed the guard, was parsed, and has all
// mandatory headers.
type Incoming struct {
	// Msg is a *sip.Request or a *sip.Response.
	Msg sip.Message
	// From is where it came from; an answer goes there.
	From Target
	// Local is the address of ours that received it.
	Local netip.AddrPort
}

// Config says how a Transport behaves. Receive is mandatory.
type Config struct {
	// Bind is the address of the UDP socket; zero means 0.0.0.0 and a free
	// port.
	Bind netip.AddrPort
	// TLS is the base of the configuration of TLS flows; nil means the roots
	// of the system and TLS 1.2 or later. ServerName comes from the target.
	TLS *tls.Config
	// Allow reports whether an address may speak to us over UDP; nil means
	// everybody. Addresses that we have sent to may answer in any case.
	Allow func(netip.Addr) bool
	// Receive gets each message; it must not block.
	Receive func(Incoming)
	// Broken hears that a flow died, could not be opened, or that a message
	// could not be sent; it must not block. Nil is allowed.
	Broken func(Target, error)
	// Logger is mandatory.
	Logger *slog.Logger

	// MaxMessage is the largest message accepted, in bytes; zero means 65,535.
	MaxMessage int
	// MaxFlows is how many TCP and TLS flows may be open; zero means 64.
	MaxFlows int
	// Rate is how many datagrams per second one address may send; zero means
	// 2,000. Bursts of twice as many pass.
	Rate int
	// DialTimeout bounds opening a flow with its handshake; zero means 5 s.
	DialTimeout time.Duration
	// WriteTimeout bounds one write to a flow; zero means 5 s.
	WriteTimeout time.Duration
	// PingInterval is the time between CRLF keep-alives; zero means 25 s.
	PingInterval time.Duration
	// PongTimeout is how long a flow may leave a ping unanswered when it has
	// answered one before; zero means 10 s (RFC 5626 section 4.4.1).
	PongTimeout time.Duration
	// TimeNow is the clock of the guard; nil means time.Now.
	TimeNow func() time.Time
}

func (c *Config) setDefaults() {
	c.MaxMessage = orDefault(c.MaxMessage, 65535)
	c.MaxFlows = orDefault(c.MaxFlows, 64)
	c.Rate = orDefault(c.Rate, 2000)
	c.DialTimeout = orDefault(c.DialTimeout, 5*time.Second)
	c.WriteTimeout = orDefault(c.WriteTimeout, 5*time.Second)
	c.PingInterval = orDefault(c.PingInterval, 25*time.Second)
	c.PongTimeout = orDefault(c.PongTimeout, 10*time.Second)
	if !c.Bind.IsValid() {
		c.Bind = netip.AddrPortFrom(netip.IPv4Unspecified(), c.Bind.Port())
	}
	if c.TimeNow == nil {
		c.TimeNow = time.Now
	}
	if c.Broken == nil {
		c.Broken = func(Target, error) {}
	}
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Transport owns the sockets of one SIP endpoint.
type Transport struct {
	cfg    Config
	udp    *net.UDPConn
	bound  netip.AddrPort
	reader reader
	open   chan *flow // flows that Run has to start

	mu     sync.Mutex
	closed bool
	flows  map[Target]*flow
	keep   map[Target]bool // targets that get keep-alives
}

// New binds the UDP socket. Nothing is read before Run.
func New(cfg Config) (*Transport, error) {
	if cfg.Receive == nil || cfg.Logger == nil {
		return nil, errors.New("sip transport needs Receive and Logger")
	}
	cfg.setDefaults()
	network := "udp"
	if cfg.Bind.Addr().Is4() {
		network = "udp4"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(cfg.Bind))
	if err != nil {
		return nil, fmt.Errorf("bind sip socket %s: %w", cfg.Bind, err)
	}
	// Room for a burst while the reader waits for its turn; the kernel takes
	// less where its limit is lower, which is no reason to fail.
	_ = conn.SetReadBuffer(1 << 20)
	if err := watchErrors(conn); err != nil {
		cfg.Logger.Warn("refused datagrams are noticed by their silence only", "error", err)
	}
	t := &Transport{
		cfg:   cfg,
		udp:   conn,
		bound: unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort()),
		open:  make(chan *flow, 2*cfg.MaxFlows),
		flows: make(map[Target]*flow),
		keep:  make(map[Target]bool),
	}
	t.reader = newReader(&t.cfg)
	return t, nil
}

// Bound returns the address of the UDP socket.
func (t *Transport) Bound() netip.AddrPort { return t.bound }

// Stats returns what was counted so far.
func (t *Transport) Stats() Stats { return t.reader.guard.stats() }

// Run reads and writes until ctx ends, then sends what is queued, closes all
// sockets and returns when its goroutines have ended.
func (t *Transport) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	fail := make(chan error, 1)
	wg.Go(func() { fail <- t.readUDP(ctx) })
	ping := time.NewTicker(t.cfg.PingInterval)
	defer ping.Stop()
	var err error
loop:
	for {
		select {
		case <-ctx.Done():
			break loop
		case err = <-fail:
			break loop
		case f := <-t.open:
			wg.Go(func() { f.run(ctx) })
		case <-ping.C:
			t.pingUDP()
		}
	}
	// No new messages first; then the flows send what they have and end.
	t.close()
	cancel()
	wg.Wait()
	return err
}

// close refuses new messages and ends the reader of the UDP socket.
func (t *Transport) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	_ = t.udp.Close()
}

// Send sends one message. It never blocks; what fails comes back through
// Config.Broken. The bytes must not change afterwards.
func (t *Transport) Send(to Target, msg []byte) {
	t.reader.guard.sent(t.cfg.TimeNow(), to.Addr.Addr())
	switch to.Network {
	case UDP:
		t.sendUDP(to, msg)
	case TCP, TLS:
		if err := t.enqueue(to, msg); err != nil {
			t.cfg.Broken(to, err)
		}
	default:
		t.cfg.Broken(to, fmt.Errorf("send to %s: %w", to, ErrNetwork))
	}
}

// Local returns the address that the peer should see in Via and Contact: that
// of the open flow, else the source address that the route to the target
// implies with the port of the UDP socket.
func (t *Transport) Local(to Target) netip.AddrPort {
	if to.Network != UDP {
		t.mu.Lock()
		f := t.flows[to]
		t.mu.Unlock()
		if f != nil {
			if a := f.local.Load(); a != nil {
				return *a
			}
		}
	}
	if !t.bound.Addr().IsUnspecified() {
		return t.bound
	}
	return netip.AddrPortFrom(routeTo(to.Addr, t.bound.Addr()), t.bound.Port())
}

// KeepAlive switches CRLF keep-alives to a target on or off. On UDP they hold
// the hole in a NAT open; on a flow they also find out that it is dead
// (RFC 5626 section 4.4.1).
func (t *Transport) KeepAlive(to Target, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.keep[to] = true
	} else {
		delete(t.keep, to)
	}
	if f := t.flows[to]; f != nil {
		f.keep.Store(on)
	}
}
