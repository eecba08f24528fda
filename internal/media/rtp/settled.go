package rtp

import "time"

// Settled reports whether a packet from anywhere but the active address would
// be refused now, whatever it holds: the described address itself is locked
// and was heard lately. A socket may then be connected to it, so that the
// system throws everything else away.
func (l *Latch) Settled(now time.Time) bool {
	return l.locked && l.active == l.described && now.Sub(l.heard) < longSilence
}
