package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// packetQueue is how many packets of one call may wait for its worker (0.64 s of sound).
const packetQueue = 32

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

// fedRTP is an RTP socket with a goroutine that reads.
type fedRTP struct {
	conn  *net.UDPConn
	local netip.AddrPort
	out   sender
	media *Media
	ready chan *packet // read and waiting for the worker

	queued  atomic.Bool // the call is in the inbox of its worker
	dropped atomic.Uint64
	failed  atomic.Uint64 // packets the system would not send
}

func openFedRTP(bind netip.Addr, ports [2]uint16) (*fedRTP, error) {
	s := &fedRTP{ready: make(chan *packet, packetQueue)}
	err := pickPort(ports, func(port int) (int, error) {
		if s.conn != nil {
			_ = s.conn.Close()
		}
		var err error
		if s.conn, err = listen(bind, port); err != nil {
			return 0, err
		}
		return s.conn.LocalAddr().(*net.UDPAddr).Port, nil
	})
	if err != nil {
		return nil, err
	}
	_ = s.conn.SetReadBuffer(receiveBuffer) // best effort: the default of the system also works
	at := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if err := s.out.init(s.conn); err != nil {
		_ = s.conn.Close()
		return nil, fmt.Errorf("open rtp socket: %w", err)
	}
	return s, nil
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

func (s *fedRTP) addr() netip.AddrPort { return s.local }

func (s *fedRTP) start(m *Media) {
	s.media = m
	m.worker.sockets.Go(s.read)
}

func (s *fedRTP) follow(time.Time) {}

func (s *fedRTP) tally() {}

func (s *fedRTP) count() (overrun, failed uint64) { return s.dropped.Load(), s.failed.Load() }

// stop closes the socket on a goroutine: that waits for the reader, which a worker must not.
func (s *fedRTP) stop(w *worker) {
	w.sockets.Go(func() { _ = s.conn.Close() })
}

func (s *fedRTP) close() { _ = s.conn.Close() }

// read moves packets from the socket towards the worker until the socket is closed.
// It never waits for the worker: when the queue is full the oldest packet goes and is counted.
func (s *fedRTP) read() {
	m, errs := s.media, 0
	for {
		p := m.worker.packets.get()
		n, from, err := s.conn.ReadFromUDPAddrPort(p.data[:])
		if err != nil {
			m.worker.packets.put(p)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if errs++; errs > maxReadErrors {
				m.worker.engine.log.Warn("rtp socket is broken: the call hears nothing any more", "local", s.local, "error", err)
				return
			}
			continue // an ICMP error, for example: the next packet may be fine
		}
		errs = 0
		p.n, p.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.push(p)
	}
}

func (s *fedRTP) push(p *packet) {
	w := s.media.worker
	for {
		select {
		case s.ready <- p:
			if !s.queued.Swap(true) {
				w.inbox.put(rtpReady{s})
			}
			return
		default:
		}
		select {
		case old := <-s.ready:
			s.dropped.Add(1)
			w.packets.put(old)
		default: // the worker was faster
		}
	}
}

// rtpReady is the task that a call has packets waiting.
type rtpReady struct{ *fedRTP }

func (r rtpReady) run(w *worker, now time.Time) {
	// First the flag, then the queue: a packet that comes between is taken twice, never missed.
	r.queued.Store(false)
	if len(r.media.delayed) > 0 {
		// Commands wait for a socket that is about to arrive, and packets do not overtake them.
		if !r.queued.Swap(true) {
			w.inbox.put(r)
		}
		return
	}
	for range packetQueue {
		select {
		case p := <-r.ready:
			if !r.media.finished {
				r.media.session.Packet(now, p.from, p.data[:p.n])
			}
			w.packets.put(p)
		default:
			return
		}
	}
	// More may have come meanwhile; others first.
	if !r.queued.Swap(true) {
		w.inbox.put(r)
	}
}

// SendRTP sends one packet and never waits: what the system does not take at once is counted and lost.
func (s *fedRTP) SendRTP(to netip.AddrPort, data []byte) {
	if err := s.out.send(to, data); err != nil && !errors.Is(err, os.ErrClosed) {
		s.failed.Add(1)
	}
}
