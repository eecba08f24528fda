//go:build unix

package engine

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sender sends datagrams without ever waiting for room in the socket. It allocates
// only when the destination changes. One goroutine uses it.
type sender struct {
	raw  syscall.RawConn
	v6   bool
	to   netip.AddrPort
	dest unix.Sockaddr // of to
	data []byte
	err  error
	once func(fd uintptr) bool // made once: a closure per packet would be an allocation
}

// init prepares the sender for conn and marks its packets as voice.
func (s *sender) init(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	s.raw = raw
	s.once = func(fd uintptr) bool {
		s.err = unix.Sendto(int(fd), s.data, unix.MSG_DONTWAIT, s.dest)
		return true
	}
	return raw.Control(func(fd uintptr) {
		name, _ := unix.Getsockname(int(fd))
		_, s.v6 = name.(*unix.SockaddrInet6)
		// Best effort: a network that does not honour it, or forbids it, carries the sound all the same.
		if s.v6 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscpEF)
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, dscpEF)
	})
}

func (s *sender) send(to netip.AddrPort, data []byte) error {
	if to != s.to || s.dest == nil {
		dest, err := s.sockaddr(to)
		if err != nil {
			return err
		}
		s.to, s.dest = to, dest
	}
	s.data = data
	err := s.raw.Write(s.once)
	s.data = nil
	if err != nil {
		return err
	}
	return s.err
}

func (s *sender) sockaddr(to netip.AddrPort) (unix.Sockaddr, error) {
	a := to.Addr()
	if !s.v6 {
		if !a.Unmap().Is4() {
			return nil, fmt.Errorf("send to %s from an IPv4 socket: %w", to, unix.EAFNOSUPPORT)
		}
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.Unmap().As4()}, nil
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16(), ZoneId: zone(a.Zone())}, nil
}

// zone turns the zone of a link-local address into the index of its interface.
func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	if nic, err := net.InterfaceByName(name); err == nil {
		return uint32(nic.Index)
	}
	return 0
}
