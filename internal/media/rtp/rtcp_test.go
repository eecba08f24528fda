package rtp

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtcp"
)

func TestAnotherImplementationReadsOurReports(t *testing.T) {
	r := Report{
		SSRC: 7, Sends: true, Sender: SenderInfo{NTP: 1<<63 + 5, Timestamp: 160, Packets: 3, Octets: 480},
		About: true, Block: Block{SSRC: 9, Fraction: 64, Lost: -2, Highest: 1<<16 + 4, Jitter: 8, LastSR: 77, Delay: 65536},
		Bye: true,
	}
	packets, err := rtcp.Unmarshal(r.Append(nil, "abc@x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := rtcp.CompoundPacket(packets).Validate(); err != nil {
		t.Error(err)
	}
	sr, ok := packets[0].(*rtcp.SenderReport)
	if !ok || len(packets) != 3 || len(sr.Reports) != 1 {
		t.Fatalf("it reads %v", packets)
	}
	if sr.SSRC != 7 || sr.NTPTime != 1<<63+5 || sr.RTPTime != 160 || sr.PacketCount != 3 || sr.OctetCount != 480 {
		t.Errorf("it reads %+v", sr)
	}
	want := rtcp.ReceptionReport{SSRC: 9, FractionLost: 64, TotalLost: 0xFFFFFE, LastSequenceNumber: 1<<16 + 4, Jitter: 8, LastSenderReport: 77, Delay: 65536}
	if diff := cmp.Diff(want, sr.Reports[0]); diff != "" {
		t.Error(diff)
	}
	if name, ok := rtcp.CompoundPacket(packets).CNAME(); ok != nil || name != "abc@x" {
		t.Errorf("the name is %q, %v", name, ok)
	}
}

func TestReportsAreRead(t *testing.T) {
	r := Report{SSRC: 7, Sends: true, Sender: SenderInfo{NTP: 5, Packets: 3}, About: true, Block: Block{SSRC: 9, Fraction: 64, Lost: -2, Jitter: 8}}
	back, err := ReadReport(r.Append(nil, "n"), 9)
	if diff := cmp.Diff(r, back); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if back, err = ReadReport(r.Append(nil, "n"), 10); err != nil || back.About {
		t.Errorf("a block about another stream: %+v, %v", back, err)
	}
	theirs, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: 3, Reports: []rtcp.ReceptionReport{{SSRC: 1, TotalLost: 4}, {SSRC: 9, TotalLost: 5}}},
		&rtcp.SourceDescription{}, &rtcp.Goodbye{Sources: []uint32{3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	back, err = ReadReport(theirs, 9)
	if want := (Report{SSRC: 3, About: true, Block: Block{SSRC: 9, Lost: 5}, Bye: true}); err != nil || back != want {
		t.Errorf("%+v, %v", back, err)
	}
	whole := r.Append(nil, "n")
	for cut := 1; cut < len(whole); cut++ {
		if _, err := ReadReport(whole[:cut], 9); cut != 52 && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", cut, len(whole), err)
		}
	}
}

func TestReportsMeasureTheRoundTrip(t *testing.T) {
	now := time.Unix(1e9, 0)
	ours, theirs := NewReports(1, 8000), NewReports(2, 8000)
	in := NewReceiver(8000)
	for i := range 100 {
		if i%10 != 3 {
			in.Packet(now.Add(time.Duration(i)*20*time.Millisecond), Header{SSRC: 1, Sequence: uint16(i), Timestamp: uint32(i) * 160})
		}
	}
	now = now.Add(2 * time.Second)
	first := ours.Next(now, SenderInfo{Packets: 100}, nil)
	theirs.Heard(now.Add(30*time.Millisecond), first)
	answer := theirs.Next(now.Add(time.Second), SenderInfo{}, in)
	if b := answer.Block; answer.Sends || b.Lost != 10 || b.Fraction != 25 || b.Highest != 99 {
		t.Errorf("%+v", answer)
	}
	ours.Heard(now.Add(1040*time.Millisecond), answer)
	if d := ours.RoundTrip() - 70*time.Millisecond; d.Abs() > time.Millisecond {
		t.Errorf("round trip %v, want 70ms", ours.RoundTrip())
	}
	if lost, jitter, known := ours.Far(); lost != 10 || jitter != 0 || !known {
		t.Errorf("far end lost %d, jitter %v, %t", lost, jitter, known)
	}
	if again := theirs.Next(now.Add(2*time.Second), SenderInfo{}, in); again.Block.Fraction != 0 || again.Block.Lost != 10 {
		t.Errorf("nothing was lost since: %+v", again.Block)
	}
}

func TestReportsComeEveryFiveSeconds(t *testing.T) {
	start := time.Unix(1e9, 0)
	r := NewReports(12345, 8000)
	var gaps []time.Duration
	last := start
	for at := time.Duration(0); at < 500*time.Second; at += 20 * time.Millisecond {
		if now := start.Add(at); r.Due(now) {
			r.Next(now, SenderInfo{}, nil)
			gaps = append(gaps, now.Sub(last))
			last = now
		}
	}
	if gaps[0] != 2500*time.Millisecond || len(gaps) < 85 || len(gaps) > 115 {
		t.Errorf("first after %v, %d in 500 s", gaps[0], len(gaps))
	}
	for _, g := range gaps[1:] {
		if g < 2500*time.Millisecond || g > 7520*time.Millisecond {
			t.Errorf("a pause of %v", g)
		}
	}
}

func TestTheScoreFollowsTheModel(t *testing.T) {
	for _, c := range []struct {
		name        string
		delay       time.Duration
		loss        float64
		rating, mos float64
	}{
		{"nothing wrong", 0, 0, 93.2, 4.41},
		{"100 ms are free", 100 * time.Millisecond, 0, 93.2, 4.41},
		{"200 ms", 200 * time.Millisecond, 0, 90.16, 4.35},
		{"5 % lost", 0, .05, 77.42, 3.92},
		{"20 % lost", 0, .20, 51.07, 2.64},
		{"half lost, a second late", time.Second, .5, 0, 1},
	} {
		r := Rating(c.delay, c.loss)
		if math.Abs(r-c.rating) > 0.05 || math.Abs(MOS(r)-c.mos) > 0.01 {
			t.Errorf("%s: rating %.2f, score %.2f; want %.2f, %.2f", c.name, r, MOS(r), c.rating, c.mos)
		}
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add(Report{SSRC: 7, Sends: true, About: true, Block: Block{SSRC: 9}, Bye: true}.Append(nil, "n"), uint32(9))
	f.Add([]byte{0x81, 201, 0, 1, 0, 0, 0, 1}, uint32(1))
	f.Add([]byte{0x80, 204, 0, 0}, uint32(1))
	f.Fuzz(func(t *testing.T, data []byte, ours uint32) {
		r, err := ReadReport(data, ours)
		if err != nil {
			return
		}
		back, err := ReadReport(r.Append(nil, "name"), ours)
		if err != nil || back != r {
			// Who says nothing but goodbye has no number of its own.
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
		reports := NewReports(ours, 8000)
		reports.Heard(time.Unix(1e9, 0), r)
	})
}
