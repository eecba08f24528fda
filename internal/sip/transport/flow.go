package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	flowQueue     = 256         // messages that may wait for a flow
	flushPatience = time.Second // for what is queued when we stop
)

// A flow is one TCP or TLS connection that we opened (RFC 5626 section 2). Its
// goroutine run owns the connection and writes; a second one reads.
type flow struct {
	t      *Transport
	to     Target
	out    chan []byte
	failed chan error // why it has to end; holds one
	local  atomic.Pointer[netip.AddrPort]
	keep   atomic.Bool
	heard  atomic.Uint64 // how often something arrived
	ponged atomic.Bool   // the peer answers pings
}

// enqueue gives a message to the flow of a target and opens one if needed.
func (t *Transport) enqueue(to Target, msg []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return fmt.Errorf("send to %s: %w", to, ErrClosed)
	}
	f := t.flows[to]
	if f == nil {
		if len(t.flows) >= t.cfg.MaxFlows {
			return fmt.Errorf("connect to %s: %w", to, ErrTooManyFlows)
		}
		f = &flow{t: t, to: to, out: make(chan []byte, flowQueue), failed: make(chan error, 1)}
		f.keep.Store(t.keep[to])
		select {
		case t.open <- f:
		default:
			return fmt.Errorf("connect to %s: %w", to, ErrTooManyFlows)
		}
		t.flows[to] = f
	}
	select {
	case f.out <- msg:
	default:
		f.fail(fmt.Errorf("write to %s: %w", to, ErrCongested))
	}
	return nil
}

// fail tells the goroutine of the flow to end. Any goroutine.
func (f *flow) fail(err error) {
	select {
	case f.failed <- err:
	default:
	}
}

// run opens the connection and serves it until it breaks or ctx ends.
func (f *flow) run(ctx context.Context) {
	err := f.serve(ctx)
	f.t.mu.Lock()
	if f.t.flows[f.to] == f {
		delete(f.t.flows, f.to)
	}
	f.t.mu.Unlock()
	// Out of the table first: who hears of the break and sends again gets a
	// new flow.
	if ctx.Err() == nil && err != nil {
		f.t.cfg.Broken(f.to, err)
	}
}

func (f *flow) serve(ctx context.Context) error {
	conn, err := f.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", f.to, err)
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		local := unmap(a.AddrPort())
		f.local.Store(&local)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.fail(f.read(conn))
	}()
	err = f.write(ctx, conn)
	conn.Close()
	<-done
	return err
}

func (f *flow) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.t.cfg.DialTimeout)
	defer cancel()
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	if bound := f.t.bound.Addr(); !bound.IsUnspecified() {
		d.LocalAddr = &net.TCPAddr{IP: bound.AsSlice(), Zone: bound.Zone()}
	}
	if f.to.Network == TCP {
		return d.DialContext(ctx, "tcp", f.to.Addr.String())
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.t.cfg.TLS != nil {
		cfg = f.t.cfg.TLS.Clone()
	}
	if f.to.ServerName != "" {
		cfg.ServerName = f.to.ServerName
	}
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg.ServerName = f.to.Addr.Addr().String()
	}
	conn, err := d.DialContext(ctx, "tcp", f.to.Addr.String())
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return secure, nil
}

// read hands on the messages of the stream in order.
func (f *flow) read(conn net.Conn) error {
	fr := framer{max: f.t.cfg.MaxMessage}
	buf := make([]byte, 16<<10)
	local := *f.local.Load()
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			f.heard.Add(1)
			fr.write(buf[:n])
			if err := f.frames(&fr, local); err != nil {
				return fmt.Errorf("read from %s: %w", f.to, err)
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the peer closed the connection")
			}
			return fmt.Errorf("read from %s: %w", f.to, err)
		}
	}
}

func (f *flow) frames(fr *framer, local netip.AddrPort) error {
	for {
		kind, msg, err := fr.next()
		if err != nil {
			f.t.reader.guard.malformed.Add(1)
			return err
		}
		switch kind {
		case frameNone:
			return nil
		case framePing:
			// "If the server receives a double CRLF, it responds with a
			// single CRLF" (RFC 5626 section 3.5.1); we are polite, too.
			select {
			case f.out <- []byte(pong):
			default:
			}
		case framePong:
			f.ponged.Store(true)
		case frameMessage:
			// A message that is whole but wrong does not harm the framing.
			f.t.reader.message(msg, f.to, local)
		}
	}
}

// write sends what is queued, and pings.
func (f *flow) write(ctx context.Context, conn net.Conn) error {
	tick := time.NewTicker(f.t.cfg.PingInterval)
	defer tick.Stop()
	due := time.NewTimer(time.Hour)
	due.Stop()
	defer due.Stop()
	var heard uint64
	for {
		var err error
		select {
		case <-ctx.Done():
			return f.flush(conn)
		case err = <-f.failed:
			if ctx.Err() != nil {
				return f.flush(conn)
			}
			return err
		case msg := <-f.out:
			err = f.put(conn, msg, f.t.cfg.WriteTimeout)
		case <-tick.C:
			if f.keep.Load() {
				heard = f.heard.Load()
				due.Reset(f.t.cfg.PongTimeout)
				err = f.put(conn, []byte(ping), f.t.cfg.WriteTimeout)
			}
		case <-due.C:
			// Not every server knows RFC 5626: silence means something only
			// from one that has answered before.
			if f.ponged.Load() && f.heard.Load() == heard {
				err = fmt.Errorf("ping %s: %w", f.to, ErrDead)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (f *flow) put(conn net.Conn, msg []byte, patience time.Duration) error {
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := conn.Write(msg); err != nil {
		return fmt.Errorf("write to %s: %w", f.to, err)
	}
	return nil
}

// flush sends what was queued before we were told to stop: a BYE or the end of
// a registration is among it.
func (f *flow) flush(conn net.Conn) error {
	for {
		select {
		case msg := <-f.out:
			if err := f.put(conn, msg, flushPatience); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
