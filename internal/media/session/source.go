package session

import (
	"net/netip"
	"time"
)

// Source returns where RTP goes now, invalid before Start, and whether packets
// from anywhere else are refused: then the owner of the socket may connect it
// to that address. It is true for a while only and must be asked again at
// least once every tick.
func (s *Session) Source(now time.Time) (addr netip.AddrPort, only bool) {
	return s.latch.Active(), s.started && !s.ended && s.latch.Settled(now)
}
