package rtp

import (
	"testing"
	"time"
)

func TestReceiverCountsWhatTheNetworkDid(t *testing.T) {
	seq := func(first, n int) []uint16 {
		var s []uint16
		for i := range n {
			s = append(s, uint16(first+i))
		}
		return s
	}
	for _, c := range []struct {
		name                     string
		sequence                 []uint16
		received, lost, restarts uint64
	}{
		{"all in order", seq(0, 100), 100, 0, 0},
		{"over the wrap", seq(65500, 100), 100, 0, 0},
		{"three lost", append(seq(0, 10), seq(13, 10)...), 20, 3, 0},
		{"lost over the wrap", append(seq(65530, 5), seq(3, 5)...), 10, 4, 0},
		{"two exchanged", []uint16{0, 1, 3, 2, 4}, 5, 0, 0},
		{"one doubled", []uint16{0, 1, 1, 2, 3}, 5, 0, 0},
		{"one doubled hides no loss below zero", []uint16{0, 0, 0, 0}, 4, 0, 0},
		{"a jump back that goes on is a restart", append(append(seq(20000, 10), 5), seq(6, 10)...), 21, 0, 1},
		{"one stray packet is no restart", append(append(seq(100, 10), 40000), seq(110, 10)...), 21, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReceiver(8000)
			now := time.Unix(1000, 0)
			for i, s := range c.sequence {
				r.Packet(now.Add(time.Duration(i)*20*time.Millisecond), Header{Sequence: s, Timestamp: uint32(s) * 160})
			}
			if r.Received() != c.received || r.Lost() != c.lost || r.Restarts() != c.restarts {
				t.Errorf("received %d, lost %d, restarts %d; want %d, %d, %d",
					r.Received(), r.Lost(), r.Restarts(), c.received, c.lost, c.restarts)
			}
		})
	}
}

func TestJitterIsWhatRFC3550Computes(t *testing.T) {
	// Every second packet is 10 ms late: |D| is always 10 ms, and J approaches it.
	r := NewReceiver(8000)
	now := time.Unix(1000, 0)
	start := uint32(1<<32 - 16000) // the timestamp wraps on the way
	for i := range 200 {
		late := time.Duration(i%2) * 10 * time.Millisecond
		r.Packet(now.Add(time.Duration(i)*20*time.Millisecond+late), Header{Sequence: uint16(i), Timestamp: start + uint32(i)*160})
	}
	if j := r.Jitter(); j < 9900*time.Microsecond || j > 10*time.Millisecond {
		t.Errorf("jitter %v, want almost 10ms", j)
	}
}

func TestDigitsAreNoJitter(t *testing.T) {
	r := NewReceiver(8000)
	now := time.Unix(1000, 0)
	for i := range 100 {
		ts := uint32(i) * 160
		if i >= 40 && i < 60 { // one digit of 400 ms
			ts = 40 * 160
		}
		r.Packet(now.Add(time.Duration(i)*20*time.Millisecond), Header{Sequence: uint16(i), Timestamp: ts})
	}
	if r.Jitter() != 0 || r.Lost() != 0 {
		t.Errorf("jitter %v, lost %d; want none", r.Jitter(), r.Lost())
	}
}

func TestAnotherSSRCDoesNotLookLikeLoss(t *testing.T) {
	r := NewReceiver(8000)
	now := time.Unix(1000, 0)
	for i := range 10 {
		r.Packet(now, Header{SSRC: 1, Sequence: uint16(i)})
	}
	for i := range 10 {
		r.Packet(now, Header{SSRC: 2, Sequence: uint16(30000 + i)})
	}
	if r.Lost() != 0 || r.Restarts() != 1 || r.Received() != 20 {
		t.Errorf("lost %d, restarts %d, received %d; want 0, 1, 20", r.Lost(), r.Restarts(), r.Received())
	}
}
