package phonenet

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// flow is the way to a peer: where its messages come from and where answers go.
type flow struct {
	network string // udp, tcp or tls
	remote  netip.AddrPort
	conn    *streamConn // nil for udp
}

// sockets are the listeners of a Net.
type sockets struct {
	net   *Net
	addr  netip.AddrPort
	udp   *net.UDPConn
	lists []listener

	mu    sync.Mutex // guards conns and shut
	conns map[*streamConn]struct{}
	shut  bool
}

type listener struct {
	net.Listener

	network string
}

// bindAttempts is how often a port number is tried that must be free on several networks.
const bindAttempts = 20

func listen(ctx context.Context, cfg Config, n *Net) (*sockets, error) {
	var err error
	for range bindAttempts {
		s := &sockets{net: n, addr: cfg.Bind, conns: map[*streamConn]struct{}{}}
		if err = s.bind(ctx, cfg); err == nil {
			return s, nil
		}
		s.close()
		if cfg.Bind.Port() != 0 {
			break
		}
	}
	return nil, err
}

func (s *sockets) bind(ctx context.Context, cfg Config) error {
	var lc net.ListenConfig
	for network := range strings.SplitSeq(cfg.Network, ",") {
		if network == "udp" {
			pc, err := lc.ListenPacket(ctx, "udp", s.addr.String())
			if err != nil {
				return fmt.Errorf("bind udp %s: %w", s.addr, err)
			}
			udp, ok := pc.(*net.UDPConn)
			if !ok {
				return errors.Join(fmt.Errorf("bind udp %s: not a UDP socket", s.addr), pc.Close())
			}
			_ = udp.SetReadBuffer(1 << 20) // a wish: the kernel may grant less
			s.udp = udp
			s.addr = addrPort(udp.LocalAddr())
			continue
		}
		l, err := lc.Listen(ctx, "tcp", s.addr.String())
		if err != nil {
			return fmt.Errorf("bind %s %s: %w", network, s.addr, err)
		}
		s.addr = addrPort(l.Addr())
		if network == "tls" {
			l = tls.NewListener(l, cfg.TLS)
		}
		s.lists = append(s.lists, listener{Listener: l, network: network})
	}
	return nil
}

func (s *sockets) serve() {
	if s.udp != nil {
		s.net.readers.Go(s.readUDP)
	}
	for _, l := range s.lists {
		s.net.readers.Go(func() { s.accept(l) })
	}
}

// close closes every socket; the goroutines that read them end soon after.
func (s *sockets) close() {
	s.mu.Lock()
	s.shut = true
	conns := s.conns
	s.conns = map[*streamConn]struct{}{}
	s.mu.Unlock()
	if s.udp != nil {
		_ = s.udp.Close() // nothing is lost with it
	}
	for _, l := range s.lists {
		_ = l.Close() // nothing is lost with it
	}
	for c := range conns {
		c.conn.Close()
	}
}

func (s *sockets) readUDP() {
	buf := make([]byte, 65535)
	parser := sip.NewParser()
	for {
		size, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier send says nothing about this socket
		}
		s.deliver(parser, buf[:size], flow{network: "udp", remote: unmap(from)})
	}
}

// deliver parses one message and posts it to the loop. Bytes that are no
// message are counted: CRLF is a keep-alive (RFC 5626 4.4.1), the rest is noise.
func (s *sockets) deliver(parser *sip.Parser, data []byte, from flow) {
	if len(bytes.Trim(data, "\r\n\x00 ")) == 0 {
		s.net.post(func() { s.net.counters.KeepAlives++ })
		return
	}
	msg, _, err := parser.Parse(bytes.Clone(data), false)
	if err != nil || msg == nil {
		s.net.post(func() { s.net.counters.Malformed++ })
		return
	}
	s.net.post(func() { s.net.receive(msg, from) })
}

// send hands data to the flow. It is called on the loop and never blocks.
func (s *sockets) send(to flow, data []byte) error {
	if to.conn != nil {
		return to.conn.send(data)
	}
	if s.udp == nil {
		return errors.New("no UDP socket")
	}
	_, err := s.udp.WriteToUDPAddrPort(data, to.remote)
	return err
}

// local is our address as the peer of a flow sees it.
func (s *sockets) local(to flow) netip.AddrPort {
	if !s.addr.Addr().IsUnspecified() {
		return s.addr
	}
	if to.conn != nil {
		return netip.AddrPortFrom(addrPort(to.conn.conn.LocalAddr()).Addr(), s.addr.Port())
	}
	// Connecting a UDP socket sends nothing; it only asks the routing table.
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to.remote))
	if err != nil {
		return s.addr
	}
	local := netip.AddrPortFrom(addrPort(probe.LocalAddr()).Addr(), s.addr.Port())
	_ = probe.Close() // nothing was sent
	return local
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

// unmap writes an IPv4 address as one, also when it came through an IPv6 socket.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
