package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// sendPatience is how long a datagram may wait for room in the socket buffer.
// The loop of the transactions waits with it, so it is short: a datagram that
// does not fit is a lost datagram, and those are repeated.
const sendPatience = 20 * time.Millisecond

// maxSendTries is how often a datagram is given to the kernel when it reports
// the errors of earlier ones.
const maxSendTries = 4

// maxReadFailures in a row mean that the socket is broken.
const maxReadFailures = 100

// readUDP hands the datagrams to the reader, one after the other. It ends when
// the socket is closed.
func (t *Transport) readUDP(ctx context.Context) error {
	buf := make([]byte, 65535)
	failures := 0
	for {
		n, src, err := t.udp.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil //nolint:nilerr // the socket was closed in order to end this
		}
		if undelivered(err) {
			// The ICMP error of an earlier datagram: no reason to stop listening.
			t.refusals()
			continue
		}
		if err != nil {
			if failures++; failures > maxReadFailures {
				return fmt.Errorf("read sip socket: %w", err)
			}
			continue
		}
		failures = 0
		from := Target{Network: UDP, Addr: unmap(src)}
		t.reader.datagram(buf[:n], from, t.bound)
	}
}

func (t *Transport) sendUDP(to Target, msg []byte) {
	if len(msg) > MaxDatagram {
		t.cfg.Broken(to, fmt.Errorf("send %d bytes to %s: %w", len(msg), to, ErrTooLarge))
		return
	}
	err := t.writeUDP(to, msg)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.cfg.Broken(to, fmt.Errorf("send to %s: %w", to, err))
	}
}

func (t *Transport) writeUDP(to Target, msg []byte) error {
	_ = t.udp.SetWriteDeadline(time.Now().Add(sendPatience))
	_, err := t.udp.WriteToUDPAddrPort(msg, to.Addr)
	for range maxSendTries - 1 {
		if !undelivered(err) {
			break
		}
		// The kernel tells the error of an earlier datagram, and has not sent this one.
		t.refusals()
		_, err = t.udp.WriteToUDPAddrPort(msg, to.Addr)
	}
	return err
}

// undelivered reports whether an error says that a host, a network or a port
// cannot be reached.
func undelivered(err error) bool {
	for _, errno := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENOPROTOOPT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// pingUDP keeps the holes in NATs open. RFC 5626 section 4.4.2 asks for STUN
// there; what providers expect in practice is an empty datagram of CRLFs.
func (t *Transport) pingUDP() {
	t.mu.Lock()
	targets := make([]Target, 0, len(t.keep))
	for to := range t.keep {
		if to.Network == UDP {
			targets = append(targets, to)
		}
	}
	t.mu.Unlock()
	for _, to := range targets {
		// What is wrong shows when a message is sent.
		_ = t.writeUDP(to, []byte(ping))
	}
}

// routeTo asks the kernel which source address leads to an address. Connecting
// a UDP socket sends nothing and does not block.
func routeTo(to netip.AddrPort, fallback netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return fallback
	}
	defer func() { _ = conn.Close() }()
	return unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort()).Addr()
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
