package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"phonesocket/internal/media/session"
)

const (
	// packetSize is the largest packet taken from the network; longer ones are cut.
	packetSize = 1500
	// receiveBuffer is asked for each RTP socket, in bytes: half a second of a loaded machine, without holding memory.
	receiveBuffer = 128 << 10
	// dscpEF marks packets as voice: "expedited forwarding" (RFC 3246), DSCP 46 in the upper six bits of the byte.
	dscpEF = 46 << 2
	// maxReadErrors is how many read errors in a row an RTP socket is forgiven.
	maxReadErrors = 100
)

// rtpSocket is the UDP socket of one call. But for addr, count and close its methods are called by
// the worker of the call, and none blocks.
type rtpSocket interface {
	session.Port
	addr() netip.AddrPort
	// start begins to give packets to the session of m.
	start(m *Media)
	// follow is called every tick: the session may have another opinion about the source.
	follow(now time.Time)
	// tally brings count up to date.
	tally()
	// count returns the packets that came faster than they could be taken, and those the system would not send.
	count() (overrun, failed uint64)
	// stop closes the socket, now or soon; close is for one that was never started.
	stop(w *worker)
	close()
}

// openRTP binds an RTP socket on a free even port of the range.
func (w *worker) openRTP(bind netip.Addr, ports [2]uint16) (rtpSocket, error) {
	if w.poll != nil {
		return openPolledRTP(bind, ports)
	}
	return openFedRTP(bind, ports)
}

// pickPort has try bind the first free even port of the range, beginning at a random one. try lets go of
// what it bound before, takes 0 for any port, and returns the port it got.
//
// "For UDP and similar protocols, RTP SHOULD use an even destination port number". RFC 3550 section 11.
func pickPort(ports [2]uint16, try func(port int) (int, error)) error {
	if ports == [2]uint16{} {
		return pickAny(try)
	}
	first, last := (int(ports[0])+1)&^1, int(ports[1])&^1
	pairs := (last-first)/2 + 1
	start := rand.IntN(pairs) //nolint:gosec // spreads ports, keeps no secret
	for i := range pairs {
		port := first + 2*((start+i)%pairs)
		_, err := try(port)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("open rtp port %d: %w", port, err)
		}
	}
	return fmt.Errorf("%w: all %d even ports from %d to %d are in use; widen RTP_PORTS or lower MAX_CALLS", ErrNoPort, pairs, first, last)
}

// pickAny lets the system choose, and moves to an even port if that is easy to have.
func pickAny(try func(port int) (int, error)) error {
	for range 8 {
		port, err := try(0)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open rtp port: %w", err)
		}
		if port%2 == 0 {
			return nil
		}
		if _, err = try(port - 1); err == nil {
			return nil
		}
	}
	if _, err := try(0); err != nil {
		return fmt.Errorf("open rtp port: %w", err)
	}
	return nil
}
