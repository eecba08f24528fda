package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// beLoad is the other process: it plays so many phones, speakers and listeners from one thread.
func beLoad(calls int) error {
	const warm, count = 25, 50 // periods
	runtime.LockOSThread()
	in := json.NewDecoder(os.Stdin)
	all := make([]loadCall, calls)
	for i := range all {
		var ports [2]uint16
		if err := in.Decode(&ports); err != nil {
			return err
		}
		if err := all[i].open(ports); err != nil {
			return err
		}
	}
	l := load{calls: all, frame: ws.MustCompileFrame(ws.MaskFrameWith(ws.NewBinaryFrame(make([]byte, 640)), testMask))}
	if err := l.listen(); err != nil {
		return err
	}
	// Every packet and every message has its own instant, as it is with phones and bots all over the world.
	begin, each := time.Now(), period/time.Duration(2*calls)
	for step := range (warm + count) * 2 * calls {
		if step == warm*2*calls {
			l.frames, l.heard, l.delays = 0, 0, l.delays[:0]
			if _, err := os.Stdout.WriteString("{}\n"); err != nil {
				return err
			}
		}
		for at := begin.Add(time.Duration(step) * each); ; {
			if err := l.take(0); err != nil {
				return err
			}
			if time.Now().After(at) {
				break
			}
		}
		l.give(step)
	}
	if err := l.take(50 * time.Millisecond); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(loadSays{Frames: l.frames, Lost: max(l.frames-l.heard-calls, 0), LatencyNS: l.median()})
}

type loadCall struct {
	udp, speak, listen int
	seq                uint16
	sent               time.Time
	got                int // bytes of the message that is being read
}

type load struct {
	ep            int
	calls         []loadCall
	frame         []byte
	buf           [4096]byte
	frames, heard int
	delays        []time.Duration
}

func (c *loadCall) open(ports [2]uint16) error {
	local := netip.MustParseAddr("127.0.0.1")
	s, err := openPolledRTP(local, [2]uint16{})
	if err != nil {
		return err
	}
	to, err := makeRawAddr(netip.AddrPortFrom(local, ports[0]), false)
	if err != nil {
		return err
	}
	if errno := connect(s.fd, &to); errno != 0 {
		return errno
	}
	c.udp = s.fd
	for _, fd := range []*int{&c.speak, &c.listen} {
		nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[1]))))
		if err != nil {
			return err
		}
		*fd = polledCarrier(nil, nc).(*polledConn).fd
	}
	_, err = fmt.Fprintln(os.Stdout, s.local.Port())
	return err
}

// listen makes the set of all sockets that are read.
func (l *load) listen() error {
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range l.calls {
		for k, fd := range []int{l.calls[i].udp, l.calls[i].listen} {
			e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(2*i + k)}
			if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
				return err
			}
		}
	}
	return nil
}

// give sends the packet of a phone, or the message of the bot of another call.
func (l *load) give(step int) {
	c := &l.calls[step/2%len(l.calls)]
	if step%2 == 1 {
		c = &l.calls[(step/2+len(l.calls)/3)%len(l.calls)]
		_, _ = send(c.speak, l.frame)
		return
	}
	var packet [172]byte
	c.seq++
	packet[0] = 0x80
	binary.BigEndian.PutUint16(packet[2:], c.seq)
	binary.BigEndian.PutUint32(packet[4:], uint32(c.seq)*160)
	c.sent = time.Now()
	_, _ = send(c.udp, packet[:])
	l.frames++
}

// take reads what comes within a time.
func (l *load) take(wait time.Duration) error {
	var events [256]unix.EpollEvent
	for end := time.Now().Add(wait); ; {
		n, err := unix.EpollWait(l.ep, events[:], max(int(time.Until(end)/time.Millisecond), 0))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			l.read(&l.calls[events[i].Fd/2], events[i].Fd%2 == 0)
		}
		if n < len(events) && time.Now().After(end) {
			return nil
		}
	}
}

func (l *load) read(c *loadCall, rtp bool) {
	if rtp {
		_, _ = recv(c.udp, l.buf[:])
		return
	}
	n, errno := recv(c.listen, l.buf[:])
	if errno != 0 {
		return
	}
	c.got += n
	for c.got >= 644 {
		c.got -= 644
		l.heard++
		l.delays = append(l.delays, time.Since(c.sent))
	}
}

func (l *load) median() int64 {
	if len(l.delays) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.delays))
	return int64(sorted[len(sorted)/2])
}
