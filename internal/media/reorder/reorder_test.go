package reorder

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// line is a sink that writes down what came out: the first byte of each
// packet, a negative number of samples for a loss, one below -1e6 for a pause,
// and restart for a new stream.
type line struct {
	out     []int
	samples int // since the last restart
	lost    int
}

const (
	restart = 1 << 20
	pause   = -1000000
)

func (l *line) Audio(p Packet) { l.out = append(l.out, int(p.Payload[0])); l.samples += p.Samples }
func (l *line) Restart()       { l.out = append(l.out, restart) }
func (l *line) Gap(n int, why Gap) {
	l.samples += n
	if why == Pause {
		l.out = append(l.out, pause-n)
		return
	}
	l.lost += n
	l.out = append(l.out, -n)
}

// event is one thing that happens: a packet arrives, or (seq < 0) the clock
// ticks until then.
type event struct {
	ms   int
	seq  int
	ts   uint32
	ssrc uint32
	kind Content
}

// at is a packet of 20 ms whose number and time agree.
func at(ms, seq int) event { return event{ms: ms, seq: seq, ts: uint32(seq) * 160} }

func run(events []event) (*line, *Buffer) {
	l := &line{}
	b := New(8000, l)
	start := time.Unix(1000, 0)
	tick := 0
	for _, e := range events {
		for ; tick <= e.ms; tick += 20 {
			b.Tick(start.Add(time.Duration(tick) * time.Millisecond))
		}
		if e.seq < 0 {
			continue
		}
		b.Push(start.Add(time.Duration(e.ms)*time.Millisecond), Packet{
			SSRC: e.ssrc, Sequence: uint16(e.seq), Timestamp: e.ts, Content: e.kind, Samples: 160,
			Payload: bytes.Repeat([]byte{byte(e.seq)}, 160),
		})
	}
	return l, b
}

func TestPacketsComeOutInOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []event
		want   []int
	}{
		{"in order means out at once", []event{at(0, 0), at(20, 1), at(40, 2)}, []int{0, 1, 2}},
		{"two exchanged", []event{at(0, 0), at(20, 2), at(21, 1), at(40, 3)}, []int{0, 1, 2, 3}},
		{"a doubled packet is heard once", []event{at(0, 0), at(20, 1), at(21, 1), at(22, 0), at(40, 2)}, []int{0, 1, 2}},
		{"a doubled packet behind a gap is heard once", []event{at(0, 0), at(20, 2), at(21, 2), at(22, 1)}, []int{0, 1, 2}},
		{"one lost is given up after 40 ms", []event{at(0, 0), at(40, 2), at(60, 3), at(79, 4)}, []int{0}},
		{"one lost is reported with its length", []event{at(0, 0), at(40, 2), at(60, 3), {ms: 80, seq: -1}}, []int{0, -160, 2, 3}},
		{"what comes too late is not heard", []event{at(0, 0), at(40, 2), at(60, 3), at(80, 4), at(90, 1)}, []int{0, -160, 2, 3, 4}},
		{"two holes are two gaps", []event{at(0, 0), at(40, 2), at(80, 4), {ms: 140, seq: -1}}, []int{0, -160, 2, -160, 4}},
		{"the wrap of the sequence is not seen", []event{
			{seq: 65534, ts: 1 << 31}, {ms: 20, seq: 65535, ts: 1<<31 + 160}, {ms: 40, seq: 0, ts: 1<<31 + 320}, {ms: 60, seq: 1, ts: 1<<31 + 480},
		}, []int{254, 255, 0, 1}},
		{"a loss over the wrap of the timestamp", []event{
			{seq: 65535, ts: 1<<32 - 160}, {ms: 40, seq: 1, ts: 160}, {ms: 100, seq: -1},
		}, []int{255, -160, 1}},
		{"a pause of the sender is no loss", []event{at(0, 0), {ms: 100, seq: 1, ts: 5 * 160}}, []int{0, pause - 640, 1}},
		{"another SSRC flushes and begins anew", []event{
			at(0, 0), at(40, 2), {ms: 60, seq: 900, ts: 77, ssrc: 5}, {ms: 80, seq: 901, ts: 77 + 160, ssrc: 5},
		}, []int{0, -160, 2, restart, 900 & 255, 901 & 255}},
		{"a jump of the sequence begins anew", []event{at(0, 0), at(20, 1), at(40, 9000), at(60, 9001)}, []int{0, 1, restart, 9000 & 255, 9001 & 255}},
		{
			"a jump of the timestamp begins anew",
			[]event{at(0, 0), at(20, 1), {ms: 40, seq: 2, ts: 999999}, {ms: 60, seq: 3, ts: 999999 + 160}},
			[]int{0, 1, restart, 2, 3},
		},
		{"a sequence that falls back while time goes on begins anew", []event{
			at(0, 500), at(20, 501), {ms: 40, seq: 0, ts: 502 * 160}, {ms: 60, seq: 1, ts: 503 * 160},
		}, []int{500 & 255, 501 & 255, restart, 0, 1}},
		{
			"a stream played again from far behind begins anew after one packet",
			[]event{at(0, 500), at(20, 501), at(40, 100), at(60, 101), at(80, 102)},
			[]int{500 & 255, 501 & 255, restart, 101, 102},
		},
		{"digits keep their place but have no samples", []event{
			at(0, 0), {ms: 20, seq: 1, ts: 160, kind: Other}, {ms: 40, seq: 2, ts: 160, kind: Other}, {ms: 60, seq: 3, ts: 3 * 160},
		}, []int{0, pause - 320, 3}},
		{
			"a long loss is bridged while it lasts",
			[]event{at(0, 0), {ms: 400, seq: 20, ts: 20 * 160}, {ms: 440, seq: -1}},
			[]int{
				0, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160, pause - 160,
				-8 * 160, 20,
			},
		},
		{
			"comfort noise is bridged at once",
			[]event{at(0, 0), {ms: 20, seq: 1, ts: 160, kind: Comfort}, {ms: 79, seq: -1}},
			[]int{0, pause - 160, pause - 160, pause - 160},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := run(c.events)
			if diff := cmp.Diff(c.want, l.out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatHappenedIsCounted(t *testing.T) {
	_, b := run([]event{at(0, 0), at(20, 1), at(21, 1), at(60, 4), at(80, 5), {ms: 120, seq: -1}, at(130, 2), at(131, 2), {ms: 140, seq: 6, ts: 960, ssrc: 3}})
	want := Counts{Late: 1, Doubled: 2, Lost: 2, Restarts: 1}
	got := b.Counts()
	got.Wait = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasBridgedIsNotHeardTwice(t *testing.T) {
	// The network stops for 500 ms and then delivers everything at once.
	var e []event
	for i := range 10 {
		e = append(e, at(i*20, i))
	}
	for i := 10; i < 35; i++ {
		e = append(e, at(700, i))
	}
	for i := 35; i < 60; i++ {
		e = append(e, at(i*20, i))
	}
	l, _ := run(e)
	if l.samples != 60*160 {
		t.Errorf("%d samples came out, want %d", l.samples, 60*160)
	}
	if n := len(l.out); l.out[n-1] != 59 {
		t.Errorf("ends with %v", l.out[n-5:])
	}
}

func TestASenderWhoseClockStoodStillIsHeardAgainSoon(t *testing.T) {
	// Muted for two seconds: no packets, and the timestamps do not go on.
	var e []event
	for i := range 10 {
		e = append(e, at(i*20, i))
	}
	for i := 10; i < 60; i++ {
		e = append(e, at(1800+i*20, i))
	}
	l, _ := run(e)
	heard := 0
	for _, v := range l.out {
		if v >= 0 && v != restart {
			heard++
		}
	}
	if missing := 60 - heard; missing > 3 {
		t.Errorf("%d packets (%d ms) were not heard, want at most 60 ms", missing, missing*20)
	}
}

func TestTheWaitAdapts(t *testing.T) {
	var e []event
	ms := 0
	for i := 0; i < 2000; i += 2 { // each second packet comes 70 ms after the next one
		e = append(e, at(ms, i+1), at(ms+70, i))
		ms += 80
	}
	_, b := run(e[1:])
	c := b.Counts()
	if c.Wait < 68*time.Millisecond || c.Wait > 90*time.Millisecond {
		t.Errorf("waits %v, want a little more than 70ms", c.Wait)
	}
	if c.Late > 20 {
		t.Errorf("%d packets came too late, want almost none once adapted", c.Late)
	}
}

func TestNothingIsAllocatedInSteadyState(t *testing.T) {
	l := &null{}
	b := New(8000, l)
	now := time.Unix(1000, 0)
	p := make([]byte, 160)
	seq := uint16(0)
	send := func(s uint16) {
		b.Push(now, Packet{Sequence: s, Timestamp: uint32(s) * 160, Samples: 160, Payload: p})
	}
	round := func() { // one exchanged pair, one loss
		send(seq)
		send(seq + 2)
		send(seq + 1)
		send(seq + 4)
		now = now.Add(100 * time.Millisecond)
		b.Tick(now)
		seq += 5
	}
	for range slots {
		round()
	}
	seq = 1000 // and not over the wrap, where timestamps would jump
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

type null struct{}

func (*null) Audio(Packet) {}
func (*null) Gap(int, Gap) {}
func (*null) Restart()     {}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{1, 1, 20, 1, 1, 20, 3, 1, 20, 1, 1, 60})
	f.Add([]byte{1, 1, 20, 255, 200, 20, 128, 5, 0, 64, 9, 250})
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &line{}
		b := New(8000, l)
		now := time.Unix(1000, 0)
		var seq uint16
		var ts uint32
		given := 0
		for ; len(data) >= 3; data = data[3:] {
			step := int(int8(data[0]))
			if step > 100 || step < -100 {
				step *= 200
			}
			seq += uint16(step)
			ts += uint32(int32(int8(data[1])) * 160)
			now = now.Add(time.Duration(data[2]) * time.Millisecond)
			p := Packet{Sequence: seq, Timestamp: ts, Samples: 160, Content: Content(data[1] % 7), Payload: make([]byte, 160)}
			if p.Content > Other {
				p.Content = Audio
			}
			if data[2] == 255 {
				p.SSRC = 9
			}
			given++
			b.Push(now, p)
			b.Tick(now)
		}
		b.Flush(now)
		if b.held != 0 {
			t.Fatalf("%d packets are still held", b.held)
		}
		heard := 0
		for _, v := range l.out {
			if v < 0 && v > pause && -v > 2*8000 || v < pause && pause-v > 2*8000 {
				t.Fatalf("a gap of %d samples", v)
			}
			if v == 0 {
				heard++
			}
		}
		if heard > given {
			t.Fatalf("%d packets came out of %d", heard, given)
		}
	})
}
