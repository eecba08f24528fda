//nolint:gosec // made of system calls: unsafe pointers go into them and nowhere else
package engine

import (
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file never block (the sockets are non-blocking, and MSG_DONTWAIT says so again), so they
// do without telling the scheduler, and without the allocations of their namesakes in x/sys/unix.

// recv reads from a connected socket.
func recv(fd int, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// send writes to a connected socket. data is not empty.
func send(fd int, data []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// sendTo sends a datagram. data is not empty.
func sendTo(fd int, data []byte, to *rawAddr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&to.raw)), uintptr(to.size))
	return errno
}

// connect sets the peer of a datagram socket.
func connect(fd int, to *rawAddr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.size))
	return errno
}

// rawAddr is a socket address as the system wants it. It is comparable.
type rawAddr struct {
	raw  unix.RawSockaddrInet6 // or RawSockaddrInet4, which is shorter
	size uint32
}

// makeRawAddr converts an address for a socket of the given family.
func makeRawAddr(a netip.AddrPort, v6 bool) (rawAddr, error) {
	var r rawAddr
	ip := a.Addr()
	if v6 {
		r.size = unix.SizeofSockaddrInet6
		r.raw.Family, r.raw.Addr, r.raw.Scope_id = unix.AF_INET6, ip.As16(), zone(ip.Zone())
		putPort(&r.raw.Port, a.Port())
		return r, nil
	}
	if !ip.Unmap().Is4() {
		return r, fmt.Errorf("send to %s from an IPv4 socket: %w", a, unix.EAFNOSUPPORT)
	}
	r.size = unix.SizeofSockaddrInet4
	r4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.raw))
	r4.Family, r4.Addr = unix.AF_INET, ip.Unmap().As4()
	putPort(&r4.Port, a.Port())
	return r, nil
}

// addrPort converts back; IPv4 addresses on a socket of both families come out as IPv4.
func (r *rawAddr) addrPort() netip.AddrPort {
	if r.raw.Family == unix.AF_INET {
		r4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(r4.Addr), getPort(&r4.Port))
	}
	ip := netip.AddrFrom16(r.raw.Addr).Unmap()
	if r.raw.Scope_id != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(r.raw.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, getPort(&r.raw.Port))
}

// Ports are in network byte order in memory.
func putPort(p *uint16, port uint16) {
	b := (*[2]byte)(unsafe.Pointer(p))
	b[0], b[1] = byte(port>>8), byte(port)
}

func getPort(p *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// localAddr returns the address a socket is bound to.
func localAddr(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("getsockname: %w", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	default:
		return netip.AddrPort{}, fmt.Errorf("getsockname: %w", unix.EAFNOSUPPORT)
	}
}

// datagram receives packets with their source, and with the local address they were sent to when
// the socket was asked for that. One serves all sockets of a worker.
type datagram struct {
	from    rawAddr
	data    [packetSize]byte
	control [8]uint64 // aligned as the system wants it
	iov     unix.Iovec
	msg     unix.Msghdr
}

func (d *datagram) init() {
	d.iov.Base = &d.data[0]
	d.iov.SetLen(len(d.data))
	d.msg.Iov = &d.iov
	d.msg.SetIovlen(1)
}

// receive reads one packet and its source.
func (d *datagram) receive(fd int) (int, unix.Errno) {
	d.from = rawAddr{size: unix.SizeofSockaddrInet6}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&d.data[0])), uintptr(len(d.data)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.from.raw)), uintptr(unsafe.Pointer(&d.from.size)))
	return int(n), errno
}

// receiveTo also returns the local address the packet was sent to, if the system tells.
func (d *datagram) receiveTo(fd int) (n int, to netip.Addr, errno unix.Errno) {
	d.from = rawAddr{}
	d.msg.Name, d.msg.Namelen = (*byte)(unsafe.Pointer(&d.from.raw)), unix.SizeofSockaddrInet6
	d.msg.Control = (*byte)(unsafe.Pointer(&d.control[0]))
	d.msg.SetControllen(int(unsafe.Sizeof(d.control)))
	got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, to, errno
	}
	d.from.size = d.msg.Namelen
	return int(got), d.localAddr(), 0
}

// localAddr reads the control message, of which there is one at most.
func (d *datagram) localAddr() netip.Addr {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&d.control[0]))
	body := unsafe.Add(unsafe.Pointer(&d.control[0]), unix.CmsgLen(0))
	switch have := d.msg.Controllen; {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && have >= uint64(unix.CmsgLen(unix.SizeofInet4Pktinfo)):
		return netip.AddrFrom4((*unix.Inet4Pktinfo)(body).Addr)
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && have >= uint64(unix.CmsgLen(unix.SizeofInet6Pktinfo)):
		return netip.AddrFrom16((*unix.Inet6Pktinfo)(body).Addr).Unmap()
	default:
		return netip.Addr{}
	}
}

// overruns asks the system how many packets found the socket full.
func overruns(fd int) (uint64, bool) {
	const drops, values = 8, 9 // SK_MEMINFO_DROPS, SK_MEMINFO_VARS
	var info [values]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return uint64(info[drops]), errno == 0
}
