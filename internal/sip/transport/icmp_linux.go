package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxErrors bounds the errors taken from the queue of the socket at a time.
const maxErrors = 64

// watchErrors has the kernel keep the ICMP errors that our datagrams cause,
// with the address that they were sent to: a socket that is not connected
// learns nothing of them else.
func watchErrors(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var errs []error
	err = raw.Control(func(fd uintptr) {
		errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1))
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok && local.IP.To4() == nil {
			errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1))
		}
	})
	return errors.Join(append(errs, err)...)
}

// refusals reports the ICMP errors that wait: "Host, network, port or protocol
// unreachable errors [...] SHOULD cause the transport layer to inform the
// transport user of a failure in sending" (RFC 3261 section 18.4).
func (t *Transport) refusals() {
	raw, err := t.udp.SyscallConn()
	if err != nil {
		return
	}
	found := make(map[netip.AddrPort]error)
	// What fails here means that nothing waits.
	_ = raw.Control(func(fd uintptr) {
		var data [1]byte
		var control [512]byte
		for range maxErrors {
			_, n, _, to, err := unix.Recvmsg(int(fd), data[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			if addr, why := addressOf(to), icmpError(control[:n]); addr.IsValid() && why != nil {
				found[addr] = why
			}
		}
	})
	for addr, why := range found {
		to := Target{Network: UDP, Addr: addr}
		t.cfg.Broken(to, fmt.Errorf("send to %s: %w: %w", to, ErrICMP, why))
	}
}

// icmpError reads struct sock_extended_err of ip(7); nil if it is none that
// says that somebody cannot be reached.
func icmpError(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil //nolint:nilerr // what cannot be read is no error of the peer
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < 5 {
			continue
		}
		origin := m.Data[4]
		errno := syscall.Errno(binary.NativeEndian.Uint32(m.Data))
		if (origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6) && undelivered(errno) {
			return errno
		}
	}
	return nil
}

func addressOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return unmap(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)))
	}
	return netip.AddrPort{}
}
