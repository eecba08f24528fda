package playout

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	frame   = 160
	silence = 0xD5
)

// shape marks the bytes that were faded, so that tests can see them. Quiet are
// runs of one value; a join keeps what it goes over to.
type shape struct{}

func (shape) Fade(p []byte) {
	for i := range p {
		p[i] = 0xFA
	}
}

func (shape) Quiet(p []byte) bool    { return bytes.Equal(p, full(p[0], len(p))) }
func (shape) Period(p []byte) int    { return min(len(p)/2, 80) }
func (shape) Join(dst, _, to []byte) { copy(dst, to) }

// desk drives a queue with a virtual clock.
type desk struct {
	*Queue
	now  time.Time
	sent []byte
}

func newDesk(limit int) *desk {
	return &desk{
		Queue: New(Config{FrameBytes: frame, BytesPerMS: 8, Silence: silence, Limit: limit, Shape: shape{}}),
		now:   time.Unix(1000, 0),
	}
}

func (d *desk) tick() []byte {
	p := make([]byte, frame)
	d.Next(d.now, p)
	d.now = d.now.Add(20 * time.Millisecond)
	d.sent = append(d.sent, p...)
	return p
}

// speech is n bytes that are neither silence nor the mark of a fade.
func speech(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.IntN(0xD0))
	}
	return p
}

func full(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestSpeechArrivesCompleteWhateverThePieces(t *testing.T) {
	for _, piece := range []int{1, 7, 160, 161, 4096, 4097, 480000} {
		t.Run(fmt.Sprintf("pieces of %d bytes", piece), func(t *testing.T) {
			d := newDesk(0)
			want := speech(60*8000, 1)
			for rest := want; len(rest) > 0; {
				n := min(piece, len(rest))
				if got := d.Write(d.now, rest[:n]); got != n {
					t.Fatalf("took %d of %d bytes", got, n)
				}
				rest = rest[n:]
			}
			for range 3000 {
				d.tick()
			}
			if !bytes.Equal(d.sent, want) {
				t.Error("what was spoken is not what was written")
			}
			if got := d.tick(); !bytes.Equal(got, full(silence, frame)) {
				t.Error("speech goes on after its end")
			}
			if c := d.Counts(); c.PlayedMS != 60000 || c.Underruns != 0 || c.QueuedMS != 0 {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestTheLastPartOfAPacketIsFadedAndPadded(t *testing.T) {
	d := newDesk(0)
	s := speech(frame+100, 1)
	d.Write(d.now, s)
	d.tick()
	want := append(append(bytes.Clone(s[frame:frame+60]), full(0xFA, 40)...), full(silence, 60)...)
	if got := d.tick(); !bytes.Equal(got, want) {
		t.Errorf("last packet % x", got)
	}
	if d.Counts().PlayedMS != 32 {
		t.Errorf("played %d ms, want 32", d.Counts().PlayedMS)
	}
}

func TestMarksComeBackWhenTheirAudioWasSpoken(t *testing.T) {
	d := newDesk(0)
	d.Mark("empty", 0)
	if diff := cmp.Diff([]Passed{{Name: "empty"}}, d.PopPassed()); diff != "" {
		t.Errorf("mark on an empty queue: %s", diff)
	}
	d.Write(d.now, speech(frame, 1))
	d.Mark("one packet", 0)
	d.Write(d.now, speech(100, 2))
	d.Mark("12 ms later", 0)
	d.Mark("the same place", 0)
	var got [][]Passed
	for range 3 {
		d.tick()
		got = append(got, append([]Passed(nil), d.PopPassed()...))
	}
	want := [][]Passed{
		{{Name: "one packet", AtMS: 20}},
		{{Name: "12 ms later", AtMS: 32}, {Name: "the same place", AtMS: 32}},
		nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTooManyMarksAreRefused(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(frame, 1))
	for i := range maxMarks {
		if !d.Mark(fmt.Sprint(i), 0) {
			t.Fatalf("mark %d refused", i)
		}
	}
	if d.Mark("one more", 0) {
		t.Error("a mark beyond the limit was taken")
	}
	d.tick()
	if n := len(d.PopPassed()); n != maxMarks {
		t.Errorf("%d marks came back, want %d", n, maxMarks)
	}
}

func TestClearIsSilentWithinOnePacket(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(60*8000, 1))
	d.Mark("a", 0)
	d.Write(d.now, speech(800, 2))
	d.Mark("b", 0)
	for range 10 {
		d.tick()
	}
	gone := d.Clear()
	if want := 60*8000 + 800 - 10*frame - 40; gone != want {
		t.Errorf("threw %d bytes away, want %d", gone, want)
	}
	want := []Passed{{Name: "a", AtMS: 205, Cleared: true}, {Name: "b", AtMS: 205, Cleared: true}}
	if diff := cmp.Diff(want, d.PopPassed()); diff != "" {
		t.Error(diff)
	}
	if got := d.tick(); !bytes.Equal(got, append(full(0xFA, 40), full(silence, 120)...)) {
		t.Errorf("packet after the clear: % x", got)
	}
	for range 5 {
		if !bytes.Equal(d.tick(), full(silence, frame)) {
			t.Fatal("not silent after the clear")
		}
	}
	if c := d.Counts(); c.PlayedMS != 205 || c.DiscardedMS != 60000+100-205 || c.Underruns != 0 {
		t.Errorf("counts %+v", c)
	}
	next := speech(frame, 3)
	d.Write(d.now, next)
	if got := d.tick(); !bytes.Equal(got, next) {
		t.Error("speech after a clear is not heard")
	}
	if d.Counts().Underruns != 0 {
		t.Error("a clear was counted as underrun")
	}
}

func TestSpeechAfterAClearIsNoUnderrun(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(frame, 1))
	d.tick()
	d.tick() // runs dry
	d.Clear()
	d.Write(d.now, speech(frame, 1))
	if n := d.Counts().Underruns; n != 0 {
		t.Errorf("%d underruns", n)
	}
}

func TestClearBeforeSpeechBeganLeavesNothing(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(8000, 1))
	if gone := d.Clear(); gone != 8000 {
		t.Errorf("threw %d bytes away, want 8000", gone)
	}
	if !bytes.Equal(d.tick(), full(silence, frame)) {
		t.Error("something is left after the clear")
	}
}

func TestAFullQueueRefusesAndCounts(t *testing.T) {
	d := newDesk(1600)
	s := speech(2000, 1)
	if n := d.Write(d.now, s); n != 1600 {
		t.Errorf("took %d bytes, want 1600", n)
	}
	if n := d.Write(d.now, s); n != 0 {
		t.Errorf("took %d bytes of a full queue", n)
	}
	for range 10 {
		d.tick()
	}
	if !bytes.Equal(d.sent, s[:1600]) {
		t.Error("what was taken is not what was spoken")
	}
	if c := d.Counts(); c.RefusedMS != 300 {
		t.Errorf("refused %d ms, want 300", c.RefusedMS)
	}
}

func TestThePrebufferGrowsWithUnderruns(t *testing.T) {
	d := newDesk(0)
	// 20 ms come at once, the next 20 ms each time 100 ms later: an underrun each.
	for range 25 {
		d.Write(d.now, speech(frame, 1))
		for range 5 {
			d.tick()
		}
	}
	c := d.Counts()
	if c.PrebufferMS != 200 || c.Underruns < 9 {
		t.Errorf("prebuffer %d ms after %d underruns, want 200", c.PrebufferMS, c.Underruns)
	}
	if c.PlayedMS+c.QueuedMS != 500 {
		t.Errorf("played %d + queued %d ms, want 500", c.PlayedMS, c.QueuedMS)
	}
}

func TestTheEndOfAnUtteranceIsNoUnderrun(t *testing.T) {
	d := newDesk(0)
	for range 5 {
		d.Write(d.now, speech(10*frame, 1))
		for range 60 {
			d.tick()
		}
	}
	if c := d.Counts(); c.Underruns != 0 || c.PlayedMS != 1000 {
		t.Errorf("counts %+v", c)
	}
}

func TestSpeechInPiecesHasFewUnderruns(t *testing.T) {
	type arrival struct {
		at    time.Duration
		bytes int
	}
	speechAt11 := func(r *rand.Rand) (a []arrival) { // 100 ms pieces at 1.1 times real time
		for u := range 20 {
			for k := range 50 {
				ms := float64(u)*8000 + float64(k)*100/1.1 + r.ExpFloat64()*30
				a = append(a, arrival{time.Duration(ms * float64(time.Millisecond)), 800})
			}
		}
		return a
	}
	realTime := func(r *rand.Rand) (a []arrival) { // 20 ms pieces with jitter
		for k := range 5000 {
			ms := float64(k)*20 + r.ExpFloat64()*8
			a = append(a, arrival{time.Duration(ms * float64(time.Millisecond)), frame})
		}
		return a
	}
	for _, c := range []struct {
		name      string
		trace     func(*rand.Rand) []arrival
		underruns uint64
	}{
		{"synthetic speech at 1.1 times real time", speechAt11, 4},
		{"a microphone", realTime, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(0)
			a := c.trace(rand.New(rand.NewPCG(3, 1)))
			sort.SliceStable(a, func(i, k int) bool { return a[i].at < a[k].at })
			start, total := d.now, 0
			for i := 0; i < len(a) || d.Counts().QueuedMS > 0; {
				for i < len(a) && !start.Add(a[i].at).After(d.now) {
					d.Write(start.Add(a[i].at), speech(a[i].bytes, 1))
					total += a[i].bytes
					i++
				}
				d.tick()
			}
			got := d.Counts()
			if got.Underruns > c.underruns {
				t.Errorf("%d underruns in 100 s, want at most %d", got.Underruns, c.underruns)
			}
			if got.PlayedMS != int64(total/8) {
				t.Errorf("played %d ms of %d", got.PlayedMS, total/8)
			}
			t.Logf("%+v", got)
		})
	}
}

func TestAnIdleQueueHoldsLittle(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(60*8000, 1))
	for range 3010 {
		d.tick()
	}
	pieces := 0
	for c := d.data.spare; c != nil; c = c.next {
		pieces++
	}
	if d.data.head != nil || pieces > 1 {
		t.Errorf("an empty queue holds %d pieces", pieces)
	}
}

func TestASteadyQueueAllocatesNothing(t *testing.T) {
	d := newDesk(0)
	s, p := speech(frame, 1), make([]byte, frame)
	d.Write(d.now, speech(40000, 1))
	if n := testing.AllocsPerRun(2000, func() {
		d.Write(d.now, s)
		d.Next(d.now, p)
		d.PopPassed()
		d.now = d.now.Add(20 * time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}

func TestAnotherCodingKeepsWhatWaitsAndItsMarks(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, full(1, 5000))
	d.Mark("half", 0)
	d.Write(d.now, full(2, 5000))
	d.Mark("end", 16)
	d.tick()
	d.Recode(Config{FrameBytes: 4 * frame, BytesPerMS: 32, Shape: shape{}}, func(p []byte) []byte {
		var out []byte
		for _, b := range p {
			out = append(out, b+1, b+1, b+1, b+1)
		}
		return out
	})
	d.Pad(full(3, 64)) // 2 ms that were held back
	var sent []byte
	p := make([]byte, 4*frame)
	passed := map[string]int64{}
	for i := range 65 {
		d.Next(d.now, p)
		d.now = d.now.Add(20 * time.Millisecond)
		sent = append(sent, p...)
		for _, m := range d.PopPassed() {
			passed[fmt.Sprintf("%s after %d packets", m.Name, i+2)] = m.AtMS
		}
	}
	rest := append(full(2, 4*(5000-frame)), full(3, 4*5000-160)...) // the end is faded
	if !bytes.HasPrefix(sent, rest) {
		t.Error("not all bytes were converted")
	}
	if diff := cmp.Diff(map[string]int64{"half after 32 packets": 625, "end after 63 packets": 1250}, passed); diff != "" {
		t.Error(diff)
	}
	if c := d.Counts(); c.PlayedMS != 1250 || c.WrittenMS != 1250 || c.QueuedMS != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatAFilterHoldsBackIsSpokenButNotCounted(t *testing.T) {
	d := newDesk(0)
	d.Write(d.now, speech(frame, 1))
	d.Mark("end", 17)
	d.tick()
	if n := len(d.PopPassed()); n != 0 {
		t.Fatal("the mark came before its audio was spoken")
	}
	d.Pad(speech(16, 2)) // a little less than announced
	d.tick()
	if diff := cmp.Diff([]Passed{{Name: "end", AtMS: 20}}, d.PopPassed()); diff != "" {
		t.Error(diff)
	}
	if c := d.Counts(); c.PlayedMS != 20 || c.WrittenMS != 20 {
		t.Errorf("counts %+v", c)
	}
}

func FuzzFIFO(f *testing.F) {
	f.Add([]byte{10, 200, 3, 40, 250, 7})
	f.Add([]byte{255, 255, 254, 255, 1, 255, 130, 66})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var q FIFO
		var want []byte
		next := byte(0)
		for _, op := range ops {
			n := int(op>>2) * 97
			switch op & 3 {
			case 0, 1:
				p := make([]byte, n)
				for i := range p {
					next++
					p[i] = next
				}
				q.Write(p)
				want = append(want, p...)
			case 2:
				got := make([]byte, n)
				got = got[:q.Read(got)]
				k := min(n, len(want))
				if !bytes.Equal(got, want[:k]) {
					t.Fatalf("read %d bytes that are not the oldest", n)
				}
				want = want[k:]
			case 3:
				if n%2 == 0 {
					head := make([]byte, n)
					head = head[:q.Peek(head)]
					if !bytes.Equal(head, want[:min(n, len(want))]) {
						t.Fatalf("%d bytes ahead are not the oldest", n)
					}
					for i := range head {
						head[i]++
						want[i]++
					}
					q.Poke(head)
					q.Skip(n / 2)
					want = want[min(n/2, len(want)):]
					q.Skip(n - n/2)
					n -= n / 2
					want = want[min(n, len(want)):]
				} else {
					q.Truncate(n)
					want = want[:min(n, len(want))]
				}
			}
			var all []byte
			q.Each(func(p []byte) { all = append(all, p...) })
			if q.Len() != len(want) || !bytes.Equal(all, want) {
				t.Fatalf("holds %d bytes, want %d", q.Len(), len(want))
			}
		}
	})
}
