package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// packetSize is the largest packet taken from the network; longer ones are cut.
	packetSize = 1500
	// packetQueue is how many packets of one call may wait for its worker (0.64 s of sound).
	packetQueue = 32
	// receiveBuffer is asked for each RTP socket, in bytes: half a second of a loaded machine, without holding memory.
	receiveBuffer = 128 << 10
	// dscpEF marks packets as voice: "expedited forwarding" (RFC 3246), DSCP 46 in the upper six bits of the byte.
	dscpEF = 46 << 2
	// maxReadErrors is how many read errors in a row an RTP socket is forgiven.
	maxReadErrors = 100
)

// packet is one datagram on its way from a reader to a worker.
type packet struct {
	data [packetSize]byte
	n    int
	from netip.AddrPort
}

// packetPool keeps empty packets for reuse: bounded, and nothing ever waits for it.
type packetPool chan *packet

func (p packetPool) get() *packet {
	select {
	case k := <-p:
		return k
	default:
		return new(packet)
	}
}

func (p packetPool) put(k *packet) {
	select {
	case p <- k:
	default:
	}
}

// rtpSocket is the UDP socket of one call, fed by a goroutine that reads.
type rtpSocket struct {
	conn  *net.UDPConn
	addr  netip.AddrPort
	out   sender
	ready chan *packet // read and waiting for the worker

	queued  atomic.Bool // the call is in the inbox of its worker
	dropped atomic.Uint64
	failed  atomic.Uint64 // packets the system would not send
}

// openRTP binds an RTP socket on the first free even port of the range, beginning at a random one.
//
// "For UDP and similar protocols, RTP SHOULD use an even destination port number". RFC 3550 section 11.
func openRTP(bind netip.Addr, ports [2]uint16) (*rtpSocket, error) {
	conn, err := bindRTP(bind, ports)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(receiveBuffer) // best effort: the default of the system also works
	s := &rtpSocket{conn: conn, ready: make(chan *packet, packetQueue)}
	s.addr = conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.addr = netip.AddrPortFrom(s.addr.Addr().Unmap(), s.addr.Port())
	if err := s.out.init(conn); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open rtp socket: %w", err)
	}
	return s, nil
}

func bindRTP(bind netip.Addr, ports [2]uint16) (*net.UDPConn, error) {
	if ports == [2]uint16{} {
		return bindAny(bind)
	}
	first, last := (int(ports[0])+1)&^1, int(ports[1])&^1
	pairs := (last-first)/2 + 1
	start := rand.IntN(pairs) //nolint:gosec // spreads ports, keeps no secret
	for i := range pairs {
		port := first + 2*((start+i)%pairs)
		conn, err := listen(bind, port)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("open rtp port %d: %w", port, err)
		}
	}
	return nil, fmt.Errorf("%w: all %d even ports from %d to %d are in use; widen RTP_PORTS or lower MAX_CALLS", ErrNoPort, pairs, first, last)
}

// bindAny lets the system choose, and moves to an even port if that is easy to have.
func bindAny(bind netip.Addr) (*net.UDPConn, error) {
	for range 8 {
		conn, err := listen(bind, 0)
		if err != nil {
			return nil, fmt.Errorf("open rtp port: %w", err)
		}
		port := conn.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			return conn, nil
		}
		_ = conn.Close()
		if conn, err = listen(bind, port-1); err == nil {
			return conn, nil
		}
	}
	conn, err := listen(bind, 0)
	if err != nil {
		return nil, fmt.Errorf("open rtp port: %w", err)
	}
	return conn, nil
}

func listen(bind netip.Addr, port int) (*net.UDPConn, error) {
	network := "udp"
	if bind.Is4() {
		network = "udp4"
	} else if !bind.IsUnspecified() {
		network = "udp6"
	}
	return net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind, uint16(port))))
}

// readRTP moves packets from the socket of m towards its worker until the socket is closed.
// It never waits for the worker: when the queue is full the oldest packet goes and is counted.
func (m *Media) readRTP() {
	s, errs := m.rtp, 0
	for {
		p := m.worker.packets.get()
		n, from, err := s.conn.ReadFromUDPAddrPort(p.data[:])
		if err != nil {
			m.worker.packets.put(p)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if errs++; errs > maxReadErrors {
				m.worker.engine.log.Warn("rtp socket is broken: the call hears nothing any more", "local", s.addr, "error", err)
				return
			}
			continue // an ICMP error, for example: the next packet may be fine
		}
		errs = 0
		p.n, p.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		m.pushPacket(p)
	}
}

func (m *Media) pushPacket(p *packet) {
	s := m.rtp
	for {
		select {
		case s.ready <- p:
			if !s.queued.Swap(true) {
				m.worker.inbox.put(rtpReady{m})
			}
			return
		default:
		}
		select {
		case old := <-s.ready:
			s.dropped.Add(1)
			m.worker.packets.put(old)
		default: // the worker was faster
		}
	}
}

// rtpReady is the task that a call has packets waiting.
type rtpReady struct{ *Media }

func (r rtpReady) run(w *worker, now time.Time) {
	// First the flag, then the queue: a packet that comes between is taken twice, never missed.
	r.rtp.queued.Store(false)
	for range packetQueue {
		select {
		case p := <-r.rtp.ready:
			if !r.finished {
				r.session.Packet(now, p.from, p.data[:p.n])
			}
			w.packets.put(p)
		default:
			return
		}
	}
	// More may have come meanwhile; others first.
	if !r.rtp.queued.Swap(true) {
		w.inbox.put(r)
	}
}

// SendRTP sends one packet and never waits: what the system does not take at once is counted and lost.
func (s *rtpSocket) SendRTP(to netip.AddrPort, data []byte) {
	if err := s.out.send(to, data); err != nil && !errors.Is(err, os.ErrClosed) {
		s.failed.Add(1)
	}
}
