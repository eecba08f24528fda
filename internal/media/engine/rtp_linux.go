package engine

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// polledRTP is an RTP socket that its worker reads itself.
//
// Once the session hears nobody but one address, the socket is connected to it: sending then costs less,
// and what others send never reaches the worker. When the session would listen to others again, because that
// address fell silent or a new one was described, the connection is undone.
type polledRTP struct {
	fd    int
	v6    bool
	open  bool // bound to all addresses
	local netip.AddrPort
	media *Media
	place int32
	errs  int // in a row

	from     rawAddr // of the last packet
	fromAddr netip.AddrPort
	sentTo   netip.Addr // our address that the last packet was sent to, while not connected

	to     rawAddr // of the last destination
	toAddr netip.AddrPort

	peer      netip.AddrPort // connected to it; invalid = not connected
	unfit     netip.AddrPort // connecting to it would change our address
	connected atomic.Bool    // for tests and statistics

	overrun, failed atomic.Uint64
}

func openPolledRTP(bind netip.Addr, ports [2]uint16) (*polledRTP, error) {
	bind = bind.Unmap()
	s := &polledRTP{fd: -1, place: -1, v6: !bind.Is4(), open: bind.IsUnspecified()}
	if err := pickPort(ports, func(port int) (int, error) { return s.try(bind, port) }); err != nil {
		s.close()
		return nil, err
	}
	// Best effort, all of it: without them the sound is carried too.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if s.v6 {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscpEF)
	}
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS, dscpEF)
	s.wantLocal(true)
	return s, nil
}

// try binds a port, and lets go of what it bound before. A port that the system chose is bound once more by
// its number: an address that was not asked for by number is lost when a connection is undone.
func (s *polledRTP) try(bind netip.Addr, port int) (int, error) {
	s.close()
	if err := s.bind(bind, port); err != nil || port != 0 {
		return port, err
	}
	port = int(s.local.Port())
	s.close()
	return port, s.bind(bind, port)
}

func (s *polledRTP) bind(ip netip.Addr, port int) error {
	family := unix.AF_INET
	var at unix.Sockaddr
	if s.v6 {
		family = unix.AF_INET6
		at = &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: zone(ip.Zone())}
	} else {
		at = &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	s.fd = fd
	if s.v6 && s.open {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0) // best effort: IPv4 too
	}
	if err := unix.Bind(fd, at); err != nil {
		return os.NewSyscallError("bind", err)
	}
	s.local, err = localAddr(fd)
	return err
}

// wantLocal has the system tell, with each packet, to which of our addresses it was sent.
func (s *polledRTP) wantLocal(on bool) {
	if !s.open {
		return // there is only one
	}
	value := 0
	if on {
		value = 1
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if s.v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	_ = unix.SetsockoptInt(s.fd, level, option, value) // without it the socket is never connected
}

func (s *polledRTP) addr() netip.AddrPort { return s.local }

// start puts the socket into the set of the worker.
func (s *polledRTP) start(m *Media) {
	s.media = m
	var err error
	if s.place, err = m.worker.poll.add(s.fd, s); err != nil {
		m.worker.engine.log.Error("rtp socket cannot be polled: the call hears nothing", "local", s.local, "error", err)
	}
}

func (s *polledRTP) stop(w *worker) {
	s.tally()
	if s.place >= 0 {
		w.poll.remove(s.place, s.fd)
		s.place = -1
	}
	s.close()
}

func (s *polledRTP) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (s *polledRTP) tally() {
	if s.fd >= 0 {
		if n, ok := overruns(s.fd); ok {
			s.overrun.Store(n)
		}
	}
}

func (s *polledRTP) count() (overrun, failed uint64) { return s.overrun.Load(), s.failed.Load() }

// ready takes one packet.
func (s *polledRTP) ready(w *worker, now time.Time, _ uint32) {
	if len(s.media.delayed) > 0 {
		return // commands wait for a socket that is about to arrive, and packets do not overtake them
	}
	d := &w.poll.dgram
	var n int
	var errno unix.Errno
	if s.peer.IsValid() {
		n, errno = d.receive(s.fd)
	} else {
		n, s.sentTo, errno = d.receiveTo(s.fd)
	}
	if errno != 0 {
		s.readError(w, errno)
		return
	}
	s.errs = 0
	if d.from != s.from {
		s.from, s.fromAddr = d.from, d.from.addrPort()
	}
	if s.media.finished {
		return
	}
	// Also while connected each packet is given its true source: what
	// came before the connection may still wait in the socket.
	s.media.session.Packet(now, s.fromAddr, d.data[:n])
	if !s.peer.IsValid() {
		s.follow(now)
	}
}

// readError forgives what a network can do, such as an ICMP error: the next packet may be fine.
func (s *polledRTP) readError(w *worker, errno unix.Errno) {
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if s.errs++; s.errs <= maxReadErrors {
		return
	}
	w.engine.log.Warn("rtp socket is broken: the call hears nothing any more", "local", s.local, "error", errno)
	w.poll.remove(s.place, s.fd)
	s.place = -1
}

// follow connects the socket to the one source that is heard, and undoes that when it is not the only one any more.
func (s *polledRTP) follow(now time.Time) {
	source, only := s.media.session.Source(now)
	switch {
	case s.peer.IsValid():
		if !only || source != s.peer {
			s.disconnect()
		}
	case only && source == s.fromAddr && source != s.unfit:
		s.connect(source)
	}
}

// connect connects the socket to source, if packets of source then still arrive: a socket on all addresses becomes
// one on the address that the route to source begins with, which need not be the one it sends to.
func (s *polledRTP) connect(source netip.AddrPort) {
	if s.open && !s.sentTo.IsValid() || s.fd < 0 {
		return
	}
	if errno := connect(s.fd, &s.from); errno != 0 {
		s.unfit = source
		return
	}
	s.peer = source
	s.connected.Store(true)
	if at, err := localAddr(s.fd); err != nil || s.open && at.Addr() != s.sentTo {
		s.unfit = source
		s.disconnect()
		return
	}
	s.wantLocal(false)
}

func (s *polledRTP) disconnect() {
	nobody := rawAddr{size: unix.SizeofSockaddrInet4}
	nobody.raw.Family = unix.AF_UNSPEC
	_ = connect(s.fd, &nobody) // it cannot fail for a datagram socket
	s.peer = netip.AddrPort{}
	s.connected.Store(false)
	s.wantLocal(true)
}

// SendRTP sends one packet and never waits: what the system does not take at once is counted and lost.
func (s *polledRTP) SendRTP(to netip.AddrPort, data []byte) {
	if s.fd < 0 {
		return
	}
	errno := s.sendOnce(to, data)
	if errno == unix.ECONNREFUSED {
		// That was about an earlier packet, and is forgotten now.
		errno = s.sendOnce(to, data)
	}
	if errno != 0 {
		s.failed.Add(1)
	}
}

func (s *polledRTP) sendOnce(to netip.AddrPort, data []byte) unix.Errno {
	if to == s.peer { // which is invalid when the socket is not connected
		_, errno := send(s.fd, data)
		return errno
	}
	if to != s.toAddr {
		raw, err := makeRawAddr(to, s.v6)
		if err != nil {
			return unix.EAFNOSUPPORT
		}
		s.to, s.toAddr = raw, to
	}
	return sendTo(s.fd, data, &s.to)
}
