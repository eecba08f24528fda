//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of what crosses the sockets for each call every 20 ms.
const (
	rtpBytes      = 12 + 160 // one packet of G.711
	serverHeader  = 4        // WebSocket header of a message of 126 bytes and more
	clientHeader  = 8        // the same with a mask
	floorWarm     = 5        // sweeps before counting
	floorMaxSweep = 1 << 20
)

// Floor is what the kernel asks for the four operations that no gateway can do without, in
// nanoseconds of CPU time of the thread that does them.
type Floor struct {
	UDPSend    float64 `json:"udp_send_ns"`
	UDPReceive float64 `json:"udp_receive_ns"`
	TCPSend    float64 `json:"tcp_send_ns"`
	TCPReceive float64 `json:"tcp_receive_ns"`
}

// Sum is the cost of one call in 20 ms, in nanoseconds.
func (f Floor) Sum() float64 { return f.UDPSend + f.UDPReceive + f.TCPSend + f.TCPReceive }

// CallMinute is the cost of one call in a minute, in milliseconds.
func (f Floor) CallMinute() float64 { return f.Sum() * framesPerMinute / 1e6 }

// pairs are the sockets of the floor: for each call a pair of UDP sockets and a pair of TCP sockets.
type pairs struct {
	udp, tcp [][2]int // [0] sends, [1] receives
}

// measureFloor sweeps over as many socket pairs as there are calls until the time is over.
func measureFloor(calls, message int, length time.Duration) (Floor, error) {
	var f Floor
	if err := ownThread(-1); err != nil {
		return f, err
	}
	var p pairs
	defer p.close()
	if err := p.open(calls); err != nil {
		return f, err
	}
	buf := make([]byte, 4096)
	var total Floor
	sweeps := 0
	until := mono() + int64(length)
	for i := range floorMaxSweep {
		one, err := p.sweep(buf, message)
		if err != nil {
			return f, err
		}
		if i >= floorWarm {
			sweeps++
			total.UDPSend += one.UDPSend
			total.UDPReceive += one.UDPReceive
			total.TCPSend += one.TCPSend
			total.TCPReceive += one.TCPReceive
		}
		if mono() >= until && sweeps > 0 {
			break
		}
	}
	n := float64(sweeps) * float64(calls)
	return Floor{total.UDPSend / n, total.UDPReceive / n, total.TCPSend / n, total.TCPReceive / n}, nil
}

// sweep does each operation once for every call and returns the CPU time of each.
func (p *pairs) sweep(buf []byte, message int) (Floor, error) {
	var f Floor
	var err error
	do := func(list [][2]int, which int, op func(fd int) error) float64 {
		start := readClock(unix.CLOCK_THREAD_CPUTIME_ID)
		for i := range list {
			if e := op(list[i][which]); e != nil && err == nil {
				err = e
			}
		}
		return float64(readClock(unix.CLOCK_THREAD_CPUTIME_ID) - start)
	}
	read := func(fd int) error { _, e := receive(fd, buf); return e }
	f.UDPSend = do(p.udp, 0, func(fd int) error { return send(fd, buf[:rtpBytes]) })
	f.UDPReceive = do(p.udp, 1, read)
	// What the gateway writes has a short header, what it reads a masked one: the mean of both stands for both.
	size := message + (serverHeader+clientHeader)/2
	f.TCPSend = do(p.tcp, 0, func(fd int) error { return send(fd, buf[:size]) })
	f.TCPReceive = do(p.tcp, 1, read)
	if err != nil {
		return f, fmt.Errorf("floor: %w", err)
	}
	return f, nil
}

func (p *pairs) open(calls int) error {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a TCP socket: %w", err)
	}
	defer func() { _ = unix.Close(listener) }()
	if err := errors.Join(unix.Bind(listener, loopback(0)), unix.Listen(listener, 16)); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	port, err := boundPort(listener)
	if err != nil {
		return err
	}
	for range calls {
		udp, err := udpPair()
		if err != nil {
			return err
		}
		p.udp = append(p.udp, udp)
		out, err := dialTCP(port)
		if err != nil {
			return err
		}
		p.tcp = append(p.tcp, [2]int{out, -1})
		in, _, err := unix.Accept(listener)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		p.tcp[len(p.tcp)-1][1] = in
	}
	return nil
}

// udpPair returns two datagram sockets that are connected to each other.
func udpPair() ([2]int, error) {
	a, portA, err := openUDP()
	if err != nil {
		return [2]int{}, err
	}
	b, portB, err := openUDP()
	if err != nil {
		_ = unix.Close(a)
		return [2]int{}, err
	}
	pair := [2]int{a, b}
	// No receive times here: the gateway does not ask for them.
	err = errors.Join(unix.SetsockoptInt(a, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0), unix.SetsockoptInt(b, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0),
		unix.Connect(a, loopback(portB)), unix.Connect(b, loopback(portA)))
	if err != nil {
		_, _ = unix.Close(a), unix.Close(b)
		return pair, fmt.Errorf("connect UDP sockets: %w", err)
	}
	return pair, nil
}

func (p *pairs) close() {
	for _, list := range [][][2]int{p.udp, p.tcp} {
		for _, pair := range list {
			for _, fd := range pair {
				if fd >= 0 {
					_ = unix.Close(fd)
				}
			}
		}
	}
}

// floorMain is the floor program: a process of its own, so that it stands where the gateway stands.
func floorMain(calls, message int, length time.Duration, out io.Writer) error {
	f, err := measureFloor(calls, message, length)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(f)
}
