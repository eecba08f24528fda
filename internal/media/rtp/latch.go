package rtp

import (
	"net/netip"
	"time"
)

// Rules of the Latch.
const (
	// learnPackets is how many consecutive packets of one source make it ours.
	learnPackets = 4
	// unheard is how long a public address of the description must have been
	// silent before another host is believed.
	unheard = time.Second
	// longSilence is how long a locked source must be silent before another one
	// can take its place.
	longSilence = 5 * time.Second
	// candidates is how many sources are watched at once while learning.
	candidates = 8
	// candidateAge is how long a candidate may pause between two packets.
	candidateAge = 500 * time.Millisecond
)

// Latch holds the address of the far end: where our packets go, and the only
// source that is heard.
//
// It begins as the address of the session description and locks to it with the
// first packet from there. It moves to another source only when the described
// address is private (the far end is behind a NAT and does not know how it
// looks from here), belongs to the same host, or has been silent for a second,
// and then only after four consecutive packets of one SSRC from that source.
// Then it is locked and moves again only after a new description or five
// seconds of silence; the described address itself, when it speaks after all,
// is always believed. An attacker who does not see our traffic therefore has
// to win a race against a far end that sends from the start.
type Latch struct {
	described netip.AddrPort
	active    netip.AddrPort
	since     time.Time // of the description
	heard     time.Time // last packet from active
	locked    bool      // a packet came from active

	candidates [candidates]candidate
}

// candidate is a source that may become ours.
type candidate struct {
	from  netip.AddrPort
	ssrc  uint32
	next  uint16
	count int
	seen  time.Time
}

// Describe sets the address of a new session description. The same address as
// before changes nothing, so that the refresh of a call behind a NAT does not
// interrupt its sound.
func (l *Latch) Describe(now time.Time, addr netip.AddrPort) {
	if addr == l.described {
		return
	}
	*l = Latch{described: addr, active: addr, since: now}
}

// Active returns where our packets go now.
func (l *Latch) Active() netip.AddrPort { return l.active }

// Locked reports whether the active address has been heard.
func (l *Latch) Locked() bool { return l.locked }

// Accept reports whether a valid audio packet from this source is heard; it
// may move the active address to it.
func (l *Latch) Accept(now time.Time, from netip.AddrPort, h Header) bool {
	if from == l.active || from == l.described {
		if from != l.active || !l.locked {
			l.lock(now, from)
		}
		l.heard = now
		return true
	}
	if !l.mayMove(now, from) || !l.learn(now, from, h) {
		return false
	}
	l.lock(now, from)
	return true
}

func (l *Latch) lock(now time.Time, from netip.AddrPort) {
	l.active, l.locked, l.heard = from, true, now
	l.candidates = [candidates]candidate{}
}

// mayMove says whether a source other than the active one can be learned now.
func (l *Latch) mayMove(now time.Time, from netip.AddrPort) bool {
	if l.locked {
		return now.Sub(l.heard) >= longSilence
	}
	addr := l.described.Addr()
	return private(addr) || addr == from.Addr() || now.Sub(l.since) >= unheard
}

// learn counts a packet of a candidate and reports whether it has proved
// itself. A candidate that skips a packet, changes its SSRC or pauses begins
// again; when too many sources try, the one that got least far makes room.
func (l *Latch) learn(now time.Time, from netip.AddrPort, h Header) bool {
	slot := &l.candidates[0]
	for i := range l.candidates {
		c := &l.candidates[i]
		if now.Sub(c.seen) >= candidateAge {
			c.count = 0
		}
		if c.from == from {
			slot = c
			break
		}
		if c.count < slot.count || c.count == slot.count && c.seen.Before(slot.seen) {
			slot = c
		}
	}
	same := slot.from == from && slot.ssrc == h.SSRC && now.Sub(slot.seen) < candidateAge
	if same && h.Sequence+1 == slot.next {
		return false // doubled by the network
	}
	if !same || h.Sequence != slot.next {
		slot.count = 0
	}
	slot.from, slot.ssrc, slot.next, slot.seen = from, h.SSRC, h.Sequence+1, now
	slot.count++
	return slot.count >= learnPackets
}

// private says that an address does not mean the same host here as there.
func private(a netip.Addr) bool {
	if a.IsUnspecified() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	// Shared address space of carrier NATs, 100.64.0.0/10 (RFC 6598).
	return a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xC0 == 64
}
