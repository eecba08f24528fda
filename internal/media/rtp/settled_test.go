package rtp

import (
	"net/netip"
	"testing"
	"time"
)

func TestALatchIsSettledOnlyWhileNobodyElseCouldBeHeard(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	described, other := netip.MustParseAddrPort("192.168.1.2:4000"), netip.MustParseAddrPort("203.0.113.9:4000")
	var l Latch
	want := func(when string, at time.Duration, settled bool) {
		t.Helper()
		if got := l.Settled(start.Add(at)); got != settled {
			t.Errorf("%s: settled is %v, want %v", when, got, settled)
		}
	}
	l.Describe(start, described)
	want("before the first packet", 0, false)
	l.Accept(start, described, Header{SSRC: 1})
	want("after a packet of the described address", 0, true)
	want("just before the silence is long", longSilence-1, true)
	want("after a long silence", longSilence, false)
	for i := range learnPackets {
		l.Accept(start.Add(longSilence), other, Header{SSRC: 2, Sequence: uint16(i)})
	}
	if l.Active() != other {
		t.Fatalf("active is %v, want %v", l.Active(), other)
	}
	want("locked to another address: the described one would still be heard", longSilence, false)
}
