package rtp

import (
	"net/netip"
	"testing"
	"time"
)

func TestLatch(t *testing.T) {
	var (
		public   = netip.MustParseAddrPort("198.51.100.1:4000")
		sameHost = netip.MustParseAddrPort("198.51.100.1:4002")
		behind   = netip.MustParseAddrPort("192.168.1.5:4000")
		outside  = netip.MustParseAddrPort("203.0.113.9:5555")
		attacker = netip.MustParseAddrPort("203.0.113.66:6666")
	)
	// A burst is n packets, 20 ms apart, from one source; heard is how many of
	// them must be heard, to where ours go afterwards.
	type burst struct {
		from  netip.AddrPort
		ssrc  uint32
		first uint16
		step  uint16
		n     int
		after time.Duration
		heard int
		to    netip.AddrPort
	}
	for _, c := range []struct {
		name   string
		sdp    netip.AddrPort
		bursts []burst
	}{
		{"the described address is heard from its first packet", public, []burst{{public, 1, 0, 1, 10, 0, 10, public}}},
		{"an attacker who comes first gets nothing when the described address is public", public, []burst{
			{attacker, 6, 0, 1, 20, 0, 0, public}, {public, 1, 0, 1, 5, 0, 5, public}, {attacker, 6, 20, 1, 200, 0, 0, public},
		}},
		{"a public address that stays silent is replaced after a second", public, []burst{
			{outside, 1, 0, 1, 40, 0, 0, public}, {outside, 1, 40, 1, 20, 300 * time.Millisecond, 17, outside},
		}},
		{"another port of the described host is learned at once", public, []burst{{sameHost, 1, 7, 1, 10, 0, 7, sameHost}}},
		{"a private address is replaced after four packets in a row", behind, []burst{{outside, 1, 65533, 1, 10, 0, 7, outside}}},
		{"once locked, an attacker is not heard", behind, []burst{
			{outside, 1, 0, 1, 10, 0, 7, outside}, {attacker, 6, 0, 1, 200, 0, 0, outside}, {outside, 1, 10, 1, 5, 0, 5, outside},
		}},
		{"packets that do not follow each other prove nothing", behind, []burst{{attacker, 6, 0, 3, 100, 0, 0, behind}}},
		{"a doubled packet is not counted twice", behind, []burst{{outside, 1, 5, 0, 100, 0, 0, behind}}},
		{"a source that is silent for five seconds can be replaced", behind, []burst{
			{outside, 1, 0, 1, 10, 0, 7, outside}, {attacker, 6, 0, 1, 10, 6 * time.Second, 7, attacker},
		}},
		{"the described address is believed when it speaks after all", public, []burst{
			{outside, 1, 0, 1, 10, 2 * time.Second, 7, outside}, {public, 2, 0, 1, 10, 0, 10, public}, {outside, 1, 10, 1, 10, 0, 0, public},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			var l Latch
			l.Describe(now, c.sdp)
			for i, b := range c.bursts {
				now = now.Add(b.after)
				heard, seq := 0, b.first
				for range b.n {
					if l.Accept(now, b.from, Header{Sequence: seq, SSRC: b.ssrc}) {
						heard++
					}
					seq += b.step
					now = now.Add(20 * time.Millisecond)
				}
				if heard != b.heard || l.Active() != b.to {
					t.Fatalf("burst %d: heard %d, sends to %s; want %d, %s", i, heard, l.Active(), b.heard, b.to)
				}
			}
		})
	}
}

func TestAnAttackerGetsAtMostFivePacketsWhileTheAddressIsLearned(t *testing.T) {
	now := time.Unix(1000, 0)
	var l Latch
	l.Describe(now, netip.MustParseAddrPort("10.0.0.5:4000"))
	farEnd := netip.MustParseAddrPort("203.0.113.9:5555")
	heard, seq := 0, uint16(0)
	// 50 forged sources spray packets between those of the far end.
	for i := range 100 {
		for k := range 5 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + (i*5+k)%50)}), 9)
			if l.Accept(now, from, Header{Sequence: uint16(i), SSRC: 6}) {
				heard++
			}
		}
		l.Accept(now, farEnd, Header{Sequence: seq, SSRC: 1})
		seq++
		now = now.Add(20 * time.Millisecond)
	}
	if heard > 5 {
		t.Errorf("%d packets of the attacker were heard, want at most 5", heard)
	}
	if l.Active() != farEnd {
		t.Errorf("sends to %s, want %s", l.Active(), farEnd)
	}
}

func TestASourceThatChangesItsSSRCIsNotLearned(t *testing.T) {
	now := time.Unix(1000, 0)
	var l Latch
	l.Describe(now, netip.MustParseAddrPort("10.0.0.5:4000"))
	from := netip.MustParseAddrPort("203.0.113.9:5555")
	for i := range 20 {
		if l.Accept(now, from, Header{Sequence: uint16(i), SSRC: uint32(i % 2)}) {
			t.Fatalf("packet %d was heard", i)
		}
	}
}

func TestARefreshWithTheSameAddressKeepsWhatWasLearned(t *testing.T) {
	now := time.Unix(1000, 0)
	described, outside := netip.MustParseAddrPort("10.0.0.5:4000"), netip.MustParseAddrPort("203.0.113.9:5555")
	var l Latch
	l.Describe(now, described)
	for i := range 5 {
		l.Accept(now, outside, Header{Sequence: uint16(i)})
	}
	l.Describe(now, described)
	if l.Active() != outside {
		t.Errorf("sends to %s after the refresh, want %s", l.Active(), outside)
	}
	moved := netip.MustParseAddrPort("10.0.0.5:4444")
	l.Describe(now, moved)
	if l.Active() != moved || l.Locked() {
		t.Errorf("sends to %s (locked %t) after a new description, want %s", l.Active(), l.Locked(), moved)
	}
}
