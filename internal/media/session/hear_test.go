package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/audio/g711"
	"phonesocket/internal/audio/measure"
	"phonesocket/internal/audio/wav"
	"phonesocket/internal/media/rtp"
	"phonesocket/internal/media/sdp"
)

func listener(r *rig, f Format) *socket {
	s := &socket{}
	r.Join(r.now, s, f)
	return s
}

func TestListenersGet20msInTheirFormat(t *testing.T) {
	for _, c := range []struct {
		format Format
		bytes  int
	}{
		{alaw8k, 160},
		{ulaw8k, 160},
		{pcm8k, 320},
		{pcm16k, 640},
		{Format{Encoding: PCM16, Rate: 24000}, 960},
		{Format{Encoding: PCM16, Rate: 48000}, 1920},
	} {
		for _, codec := range Codecs() {
			t.Run(fmt.Sprintf("%s at %d from %s", c.format.Name(), c.format.Rate, codec.Name), func(t *testing.T) {
				r := newRig(t, Config{})
				r.pt = codec.PayloadType
				r.Start(r.now, r.remote(codec))
				r.Answered(r.now)
				l := listener(r, c.format)
				w, _ := codecOf(codec)
				wire := onWire(w, speech(2*w.rate, w.rate))
				r.says(wire)
				if len(l.frames) != 100 {
					t.Fatalf("%d messages for 100 packets", len(l.frames))
				}
				for _, f := range l.frames {
					if len(f) != c.bytes || len(f) != c.format.FrameBytes() {
						t.Fatalf("a message of %d bytes, want %d", len(f), c.bytes)
					}
				}
				through := c.format.Encoding == w.encoding && !w.wideband()
				if through && !bytes.Equal(l.audio, wire) {
					t.Error("the bytes did not pass through")
				}
				var got []int16
				switch c.format.Encoding {
				case PCM16:
					got = samples(l.audio)
				case ALaw:
					got = make([]int16, len(l.audio))
					g711.DecodeALaw(got, l.audio)
				case ULaw:
					got = make([]int16, len(l.audio))
					g711.DecodeULaw(got, l.audio)
				}
				if k := correlation(speech(2*c.format.Rate, c.format.Rate), got, c.format.Rate/200); k < 0.99 {
					t.Errorf("correlation %.3f", k)
				}
				if st := r.Stats(r.now); st.HeardMS != 2000 || st.ConcealedMS != 0 || st.RTPPacketsReceived != 100 || st.RTPPacketsLost != 0 ||
					st.Passthrough != through || st.CodecRate != w.rate || st.Remote != "198.51.100.1:4000" || st.Codec != codec.Name {
					t.Errorf("stats %+v", st)
				}
			})
		}
	}
}

func TestPacketsOfAnyLengthBecome20ms(t *testing.T) {
	for _, size := range []int{80, 160, 240, 320, 480} {
		r := talking(t, Config{})
		l := listener(r, alaw8k)
		wire := alaw(9600)
		for rest := wire; len(rest) > 0; rest = rest[size:] {
			r.Packet(r.now, r.far, r.packet(rest[:size]))
		}
		if !bytes.Equal(l.audio, wire) || len(l.frames) != 60 {
			t.Errorf("packets of %d bytes: %d messages", size, len(l.frames))
		}
	}
}

func TestAWAVListenerGetsTheHeaderFirst(t *testing.T) {
	r := talking(t, Config{})
	l := listener(r, Format{Encoding: PCM16, Rate: 24000, WAV: true})
	raw := listener(r, Format{Encoding: PCM16, Rate: 24000})
	r.says(alaw(1600))
	if !bytes.Equal(l.frames[0], wav.Header(24000, 16, 1, wav.Unknown)) || len(l.frames) != 11 {
		t.Errorf("%d messages, first % x", len(l.frames), l.frames[0])
	}
	if !bytes.Equal(bytes.Join(l.frames[1:], nil), raw.audio) {
		t.Error("samples after the header differ")
	}
}

func TestListenersOfOneFormatShareOneConversion(t *testing.T) {
	r := talking(t, Config{})
	var all []*socket
	for i := range 6 {
		all = append(all, listener(r, []Format{pcm16k, ulaw8k}[i%2]))
	}
	if n := len(r.ears.pipes); n != 2 {
		t.Errorf("%d conversions for two formats", n)
	}
	r.says(alaw(1600))
	for i, l := range all {
		if !bytes.Equal(l.audio, all[i%2].audio) || len(l.frames) != 10 {
			t.Errorf("listener %d heard something else", i)
		}
	}
	for i, l := range all {
		r.Leave(r.now, l)
		if want := []int{2, 2, 2, 2, 1, 0}[i]; len(r.ears.pipes) != want {
			t.Errorf("%d conversions after %d left, want %d", len(r.ears.pipes), i+1, want)
		}
	}
	r.says(alaw(160))
	if len(all[0].frames) != 10 {
		t.Error("heard after leaving")
	}
}

func TestAListenerMayLeaveWhileItIsCalled(t *testing.T) {
	r := talking(t, Config{})
	a, b, c := listener(r, alaw8k), listener(r, alaw8k), listener(r, pcm16k)
	b.onAudio = func() { r.Leave(r.now, b); r.Leave(r.now, a) }
	r.says(alaw(480))
	if len(a.frames) != 1 || len(b.frames) != 1 || len(c.frames) != 3 {
		t.Errorf("heard %d, %d, %d messages; want 1, 1, 3", len(a.frames), len(b.frames), len(c.frames))
	}
}

func TestWhatIsHeardBeforeTheFirstListenerIsKept(t *testing.T) {
	r := talking(t, Config{})
	wire := alaw(24000)
	r.says(wire[:16000])
	if st := r.Stats(r.now); st.BacklogMS != 2000 {
		t.Errorf("backlog %d ms, want 2000", st.BacklogMS)
	}
	first := listener(r, alaw8k)
	second := listener(r, alaw8k)
	r.says(wire[16000:])
	if !bytes.Equal(first.audio, wire) {
		t.Error("the first listener did not hear all")
	}
	if !bytes.Equal(second.audio, wire[16000:]) {
		t.Error("the second listener did not hear what came after it joined")
	}
	for i, f := range first.frames {
		if len(f) != 160 {
			t.Fatalf("message %d has %d bytes", i, len(f))
		}
	}
	if diff := cmp.Diff("start answered ", first.kinds()); diff != "" {
		t.Error(diff)
	}
	r.Leave(r.now, first)
	r.Leave(r.now, second)
	r.says(wire[:1600])
	if third := listener(r, alaw8k); len(third.frames) != 0 {
		t.Error("a later listener got old audio")
	}
}

func TestTheBacklogKeepsTheNewest(t *testing.T) {
	r := talking(t, Config{BacklogLimit: time.Second})
	wire := alaw(16000)
	r.says(wire)
	if l := listener(r, alaw8k); !bytes.Equal(l.audio, wire[8000:]) {
		t.Errorf("got %d bytes", len(l.audio))
	}
	if st := r.Stats(r.now); st.ForgottenMS != 1000 || st.BacklogMS != 0 {
		t.Errorf("stats %+v", st)
	}
	none := talking(t, Config{BacklogLimit: -1})
	none.says(wire)
	if l := listener(none, alaw8k); len(l.audio) != 0 {
		t.Error("a backlog was kept though none was wanted")
	}
}

func TestRingingTonesDoNotHideTheFirstWords(t *testing.T) {
	r := newRig(t, Config{})
	r.Start(r.now, r.remote(sdp.PCMA()))
	tones, words := alaw(40000), alaw(24000)[16000:]
	r.says(tones)
	r.Answered(r.now)
	r.says(words)
	l := listener(r, alaw8k)
	if want := append(bytes.Clone(tones[32000:]), words...); !bytes.Equal(l.audio, want) {
		t.Errorf("got %d ms, want the last second before the answer and all after it", len(l.audio)/8)
	}
}

func TestEarlyMediaIsHeard(t *testing.T) {
	r := newRig(t, Config{})
	l := listener(r, alaw8k)
	r.Ringing(r.now)
	early := r.remote(sdp.PCMA())
	early.Direction, early.Held = sdp.SendOnly, true
	r.Start(r.now, early)
	r.says(alaw(1600))
	if len(l.frames) != 10 {
		t.Errorf("%d messages of early media, want 10", len(l.frames))
	}
	if len(r.sent) != 10 {
		t.Errorf("%d packets against early media, want 10: the NAT must open", len(r.sent))
	}
	if diff := cmp.Diff("start ringing ", l.kinds()); diff != "" {
		t.Error(diff)
	}
}

func TestLossIsFilledSoThatTheTimeLineHolds(t *testing.T) {
	r := talking(t, Config{})
	l := listener(r, alaw8k)
	wire := alaw(16000)
	for i := range 100 {
		p := r.packet(wire[i*160 : (i+1)*160])
		if i != 20 && i != 50 && (i < 60 || i >= 65) {
			r.Packet(r.now, r.far, p)
		}
		r.ticks(1)
	}
	if len(l.audio) != len(wire) {
		t.Fatalf("heard %d bytes, the time line has %d", len(l.audio), len(wire))
	}
	lost := func(i int) bool { return i == 20 || i == 50 || i >= 60 && i < 65 }
	for i := range 100 {
		from := i * 160
		if i > 0 && lost(i-1) {
			from += 80 // what arrives after a hole is cross-faded for 10 ms at most
		}
		if same := bytes.Equal(l.audio[from:(i+1)*160], wire[from:(i+1)*160]); same == lost(i) {
			t.Errorf("frame %d: lost %t, heard as sent %t", i, lost(i), same)
		}
	}
	heard := ALaw.decode(make([]int16, len(l.audio)), l.audio)
	if c := correlation(heard[20*160:21*160], speech(16000, 8000)[20*160:21*160], 1); c < 0.9 {
		t.Errorf("a single loss sounds like what was lost with %.2f only", c)
	}
	if c := correlation(heard, speech(16000, 8000), 1); c < 0.95 {
		t.Errorf("correlation %.3f", c)
	}
	if loud, left := measure.RMS(heard[55*160:60*160]), measure.RMS(heard[64*160:65*160]); left > loud/4 {
		t.Errorf("after 80 ms of loss the level is %.0f, it was %.0f", left, loud)
	}
	if st := r.Stats(r.now); st.ConcealedMS != 140 || st.RTPPacketsLost != 7 || st.HeardMS != 2000 {
		t.Errorf("stats %+v", st)
	}
}

func TestDigitsAndForeignPacketsAreNotAudio(t *testing.T) {
	r := talking(t, Config{})
	l := listener(r, alaw8k)
	r.says(alaw(160))
	before := len(l.audio)
	digit := func(pt uint8) []byte {
		r.pt = pt
		p := r.packet([]byte{5, 0x8A, 3, 0x20})
		r.ts -= 4
		r.pt = 8
		return p
	}
	for range 3 {
		r.Packet(r.now, r.far, digit(101))
		r.Packet(r.now, r.far, digit(97)) // unknown
	}
	r.Packet(r.now, r.far, append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...))
	r.Packet(r.now, r.far, rtp.Report{SSRC: 77}.Append(nil, "far"))
	r.Packet(r.now, r.far, append([]byte{22, 0xFE, 0xFD}, make([]byte, 26)...))
	r.Packet(r.now, r.far, []byte("\r\n\r\n"))
	r.Packet(r.now, r.far, nil)
	r.Packet(r.now, r.far, append([]byte{0x8F, 8}, make([]byte, 20)...))
	r.Packet(r.now, r.far, append([]byte{0x80, 8}, make([]byte, 5000)...))
	if len(l.audio) != before {
		t.Errorf("%d bytes of it were heard", len(l.audio)-before)
	}
	want := alaw(1600)
	r.says(want)
	if !bytes.HasSuffix(l.audio, want[:1440]) && !bytes.HasSuffix(l.audio, want) {
		t.Error("audio after it is not heard")
	}
	if st := r.Stats(r.now); st.ForeignPackets != 6 || st.RTCPPackets != 1 || st.RTPPacketsLost != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestOnlyTheFarEndIsHeard(t *testing.T) {
	r := talking(t, Config{})
	l := listener(r, alaw8k)
	attacker := netip.MustParseAddrPort("203.0.113.66:6666")
	forged := &rig{far: attacker, pt: 8, ssrc: 6}
	wire := alaw(8000)
	for i := range 50 {
		r.Packet(r.now, attacker, forged.packet(bytes.Repeat([]byte{1}, 160)))
		r.says(wire[i*160 : (i+1)*160])
	}
	if !bytes.Equal(l.audio, wire) {
		t.Error("something else than the far end was heard")
	}
	for _, p := range r.sent {
		if p.to != r.far {
			t.Fatalf("sent to %s", p.to)
		}
	}
	if st := r.Stats(r.now); st.RTPPacketsRefused != 50 {
		t.Errorf("refused %d packets, want 50", st.RTPPacketsRefused)
	}
}

func TestAFarEndBehindANATIsFollowed(t *testing.T) {
	r := newRig(t, Config{})
	remote := r.remote(sdp.PCMA())
	remote.Addr = netip.MustParseAddrPort("192.168.1.20:4000")
	r.Start(r.now, remote)
	r.Answered(r.now)
	r.far = netip.MustParseAddrPort("[::ffff:203.0.113.9]:5555")
	r.says(alaw(1600))
	outside := netip.MustParseAddrPort("203.0.113.9:5555")
	if to := r.sent[len(r.sent)-1].to; to != outside {
		t.Errorf("sends to %s, want %s", to, outside)
	}
	stranger := &rig{far: netip.MustParseAddrPort("203.0.113.66:6"), pt: 97, ssrc: 6}
	for range 10 {
		r.Packet(r.now, stranger.far, stranger.packet(make([]byte, 160)))
	}
	if st := r.Stats(r.now); st.RTPPacketsRefused != 3+10 || st.RTPPacketsReceived != 7 {
		t.Errorf("refused %d packets, want the 3 of learning and 10 of a stranger", st.RTPPacketsRefused)
	}
	var kinds []string
	for _, f := range r.facts {
		kinds = append(kinds, fmt.Sprint(f.Kind, " ", f.Addr))
	}
	if diff := cmp.Diff([]string{"source_moved 203.0.113.9:5555", "first_rtp 203.0.113.9:5555"}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestRTPTimeoutIsAFact(t *testing.T) {
	kinds := func(r *rig) string {
		var k []string
		for _, f := range r.facts {
			k = append(k, f.Kind.String())
		}
		return strings.Join(k, " ")
	}
	r := newRig(t, Config{RTPTimeout: 2 * time.Second})
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.ticks(200)
	if k := kinds(r); k != "" {
		t.Fatalf("before the answer: %s", k)
	}
	r.Answered(r.now)
	r.ticks(90)
	r.says(alaw(1600))
	r.ticks(90)
	if k := kinds(r); k != "first_rtp" {
		t.Fatalf("in time: %s", k)
	}
	r.ticks(200)
	r.says(alaw(160))
	if k := kinds(r); k != "first_rtp rtp_timeout rtp_resumed" {
		t.Fatalf("after silence: %s", k)
	}
	held := r.remote(sdp.PCMA())
	held.Direction, held.Held = sdp.Inactive, true
	r.Start(r.now, held)
	r.ticks(500)
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.ticks(90)
	if k := kinds(r); k != "first_rtp rtp_timeout rtp_resumed" {
		t.Fatalf("on hold: %s", k)
	}
}

func TestOnHoldSpeechWaits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sdp.Remote)
		sent   int // packets in ten seconds of hold
	}{
		{"sendonly keeps the NAT open", func(r *sdp.Remote) { r.Direction = sdp.SendOnly }, 2},
		{"inactive sends nothing", func(r *sdp.Remote) { r.Direction = sdp.Inactive }, 0},
		{"an address of zero sends nothing", func(r *sdp.Remote) { r.Addr = netip.MustParseAddrPort("0.0.0.0:4000") }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := talking(t, Config{})
			s := speaker(r, alaw8k)
			l := listener(r, alaw8k)
			want := alaw(16000)
			r.Speak(r.now, want)
			r.ticks(50)
			held := r.remote(sdp.PCMA())
			held.Held = true
			c.change(&held)
			r.Start(r.now, held)
			for range 500 {
				r.says(alaw(160)) // music
			}
			if n := len(r.sent) - 50; n != c.sent {
				t.Errorf("%d packets on hold, want %d", n, c.sent)
			}
			r.Start(r.now, r.remote(sdp.PCMA()))
			before := len(r.sent)
			r.ticks(50)
			if got := append(r.spoken(0)[:8000], r.spoken(before)...); !bytes.Equal(got, want) {
				t.Error("speech is not complete after the hold")
			}
			first := r.sent[before]
			if !first.Marker || (first.Timestamp-r.sent[0].Timestamp)/160 != 550 {
				t.Errorf("first packet after the hold: marker %t, slot %d", first.Marker, (first.Timestamp-r.sent[0].Timestamp)/160)
			}
			for _, k := range []string{s.kinds(), l.kinds()} {
				if diff := cmp.Diff("start answered held resumed ", k); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestTheCodecChangesInMidCall(t *testing.T) {
	r := talking(t, Config{})
	speaker(r, pcm8k)
	l := listener(r, pcm8k)
	r.Speak(r.now, pcm(speech(16000, 8000)))
	wire := alaw(8000)
	r.says(wire)
	moved := r.remote(sdp.PCMU())
	moved.Addr = netip.MustParseAddrPort("198.51.100.7:7000")
	r.Start(r.now, moved)
	r.far, r.pt = moved.Addr, 0
	ulaw := make([]byte, 8000)
	g711.EncodeULaw(ulaw, speech(16000, 8000)[8000:])
	r.says(ulaw)
	after := r.sent[50:]
	if after[0].PayloadType != 0 || !after[0].Marker || after[0].to != moved.Addr || after[0].Sequence != r.sent[49].Sequence+1 {
		t.Errorf("first packet after the change %+v to %s", after[0].Header, after[0].to)
	}
	spoken := make([]int16, 16000)
	g711.DecodeALaw(spoken, r.spoken(0)[:8000])
	g711.DecodeULaw(spoken[8000:], r.spoken(50))
	want := speech(16000, 8000)
	for name, got := range map[string][]int16{"spoken": spoken, "heard": samples(l.audio)} {
		if len(got) != 16000 {
			t.Fatalf("%s %d samples", name, len(got))
		}
		if a, b := correlation(want[:8000], got[:8000], 1), correlation(want[8000:], got[8000:], 1); a < 0.99 || b < 0.99 {
			t.Errorf("%s: correlation %.3f before, %.3f after the change", name, a, b)
		}
	}
}

func TestWhatWaitsSurvivesAChangeOfCodec(t *testing.T) {
	r := talking(t, Config{})
	wire := alaw(8000)
	r.says(wire[:7680])
	r.packet(wire[7680:7840])                     // is lost
	r.Packet(r.now, r.far, r.packet(wire[7840:])) // waits for it
	r.Start(r.now, r.remote(sdp.PCMU()))          // PCMU from now on
	l := listener(r, pcm8k)                       // gets the backlog
	if c := correlation(speech(8000, 8000), samples(l.audio), 1); c < 0.98 || len(l.audio) != 16000 {
		t.Errorf("%d bytes, correlation %.3f", len(l.audio), c)
	}
}

func TestTheOtherG711CodecIsUnderstood(t *testing.T) {
	r := talking(t, Config{}) // PCMA was agreed
	l := listener(r, pcm8k)
	r.pt = 0 // PCMU is sent
	ulaw := make([]byte, 8000)
	g711.EncodeULaw(ulaw, speech(8000, 8000))
	r.says(ulaw)
	if c := correlation(speech(8000, 8000), samples(l.audio), 1); c < 0.99 {
		t.Errorf("correlation %.3f", c)
	}
}

func TestEverythingEndsWithTheCall(t *testing.T) {
	r := newRig(t, Config{})
	a, b := listener(r, alaw8k), speaker(r, alaw8k)
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.End(r.now, End{Status: "busy", Reason: "busy", SIPCode: 486})
	r.End(r.now, End{Status: "again"})
	r.Ringing(r.now)
	r.Answered(r.now)
	r.says(alaw(320))
	r.Speak(r.now, alaw(160))
	r.Mark(r.now, "late")
	r.Clear(r.now)
	for _, s := range []*socket{a, b} {
		if diff := cmp.Diff("start end ", s.kinds()); diff != "" {
			t.Error(diff)
		}
		if e := s.events[1]; e.Status != "busy" || e.SIPCode != 486 || e.DurationMS != 0 || e.Call != "call_1" || e.To != "+49301234" {
			t.Errorf("end %+v", e)
		}
	}
	if len(a.frames) != 0 || len(r.sent) != 0 {
		t.Error("sound after the end")
	}
	late := listener(r, alaw8k)
	if diff := cmp.Diff("start end ", late.kinds()); diff != "" {
		t.Error(diff)
	}
	if st := r.Stats(r.now); st.Listeners != 0 {
		t.Errorf("%d listeners after the end", st.Listeners)
	}
}

func TestStatsSpeakJSON(t *testing.T) {
	r := talking(t, Config{})
	b, err := json.Marshal(r.Stats(r.now))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"rtp_packets_sent", "rtp_packets_received", "rtp_packets_lost", "rtp_packets_late", "jitter_ms",
		"concealed_ms", "heard_ms", "spoken_ms", "discarded_ms", "underruns", "passthrough",
	} {
		if !strings.Contains(string(b), `"`+key+`"`) {
			t.Errorf("no %s in %s", key, b)
		}
	}
}

func TestFormatsAreChecked(t *testing.T) {
	for _, c := range []struct {
		format, rate string
		want         Format
		ok           bool
	}{
		{"", "", Format{Encoding: PCM16, Rate: 16000}, true},
		{"pcm16", "48000", Format{Encoding: PCM16, Rate: 48000}, true},
		{"wav", "", Format{Encoding: PCM16, Rate: 16000, WAV: true}, true},
		{"wav", "8000", Format{Encoding: PCM16, Rate: 8000, WAV: true}, true},
		{"ulaw", "", Format{Encoding: ULaw, Rate: 8000}, true},
		{"alaw", "8000", Format{Encoding: ALaw, Rate: 8000}, true},
		{"alaw", "16000", Format{}, false},
		{"pcm16", "44100", Format{}, false},
		{"pcm16", "fast", Format{}, false},
		{"mp3", "", Format{}, false},
	} {
		got, err := ParseFormat(c.format, c.rate)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("ParseFormat(%q, %q) = %+v, %v", c.format, c.rate, got, err)
		}
	}
}

// deaf takes everything and keeps nothing.
type deaf struct{ frames, events int }

func (d *deaf) Audio([]byte)                   { d.frames++ }
func (d *deaf) Event(Event)                    { d.events++ }
func (d *deaf) SendRTP(netip.AddrPort, []byte) { d.frames++ }

func TestNothingIsAllocatedWhileACallRuns(t *testing.T) {
	for _, codec := range Codecs() {
		t.Run(codec.Name, func(t *testing.T) {
			far := netip.MustParseAddrPort("198.51.100.1:4000")
			s := New(Config{Port: &deaf{}})
			now := time.Unix(1000, 0)
			s.Start(now, sdp.Remote{Addr: far, Codec: codec, DTMF: 101, Direction: sdp.SendRecv})
			s.Answered(now)
			for _, f := range []Format{pcm16k, pcm8k, {Encoding: PCM16, Rate: 24000}, {Encoding: PCM16, Rate: 48000}, ulaw8k, alaw8k, {Encoding: PCM16, Rate: 16000, Speech: true}} {
				s.Join(now, &deaf{}, f)
			}
			if err := s.SetSpeaker(now, &deaf{}, Format{Encoding: PCM16, Rate: 24000, AutoClear: true}); err != nil {
				t.Fatal(err)
			}
			r := &rig{pt: codec.PayloadType}
			packets := make([][]byte, 1000)
			wire := alaw(160)
			for i := range packets {
				packets[i] = r.packet(wire)
			}
			said := pcm(speech(480, 24000))
			s.Speak(now, pcm(speech(2400, 24000)))
			i := 0
			round := func() {
				switch {
				case i%50 == 7: // a loss now and then
				case i%97 == 20: // and packets out of order
					s.Packet(now, far, packets[i+1])
					s.Packet(now, far, packets[i])
				case i%97 == 21:
				default:
					s.Packet(now, far, packets[i])
				}
				if i%200 > 20 { // the speaker pauses now and then
					s.Speak(now, said)
				}
				s.Tick(now)
				now = now.Add(frameTime)
				i++
			}
			for range 300 {
				round()
			}
			if n := testing.AllocsPerRun(600, round); n != 0 {
				t.Errorf("%v allocations per 20 ms, want 0", n)
			}
			if st := s.Stats(now); st.RTPPacketsLost == 0 || st.ConcealedMS == 0 || st.Underruns == 0 {
				t.Errorf("the trace had no loss or no underrun: %+v", st)
			}
		})
	}
}

func BenchmarkCallOf20ms(b *testing.B) {
	for _, f := range []Format{alaw8k, pcm8k, pcm16k, {Encoding: PCM16, Rate: 48000}} {
		b.Run(fmt.Sprint(f.Name(), f.Rate), func(b *testing.B) {
			far := netip.MustParseAddrPort("198.51.100.1:4000")
			s := New(Config{Port: &deaf{}})
			now := time.Unix(1000, 0)
			s.Start(now, sdp.Remote{Addr: far, Codec: sdp.PCMA(), Direction: sdp.SendRecv})
			s.Answered(now)
			s.Join(now, &deaf{}, f)
			if err := s.SetSpeaker(now, &deaf{}, f); err != nil {
				b.Fatal(err)
			}
			packet := (&rig{pt: 8}).packet(alaw(160))
			said := make([]byte, f.FrameBytes())
			seq := uint16(0)
			for b.Loop() {
				seq++
				rtp.Header{PayloadType: 8, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(packet)
				s.Packet(now, far, packet)
				s.Speak(now, said)
				s.Tick(now)
				now = now.Add(frameTime)
			}
		})
	}
}

func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	f.Add([]byte{7, 2, 3, 200, 4, 1, 1, 90, 6, 5, 8, 8, 0, 0, 2, 2, 10, 11, 12, 14, 3, 3, 3, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(t, Config{EarlyLimit: time.Second, QueueLimit: 2 * time.Second, BacklogLimit: time.Second, RTPTimeout: time.Second})
		sp, li := &socket{}, &socket{}
		formats := []Format{alaw8k, ulaw8k, pcm8k, pcm16k, {Encoding: PCM16, Rate: 48000, WAV: true}, {Encoding: ALaw, Rate: 8000, DropEarly: true}, {Encoding: PCM16, Rate: 24000, Speech: true, AutoClear: true}}
		for i, op := range ops {
			f := formats[i%len(formats)]
			switch op % 19 {
			case 0:
				r.Start(r.now, r.remote(Codecs()[i%3]))
			case 1:
				r.Answered(r.now)
			case 2:
				r.ticks(int(op) / 19)
			case 3, 4:
				r.Speak(r.now, ops[i:])
			case 5:
				r.Clear(r.now)
			case 6:
				r.Mark(r.now, "m")
			case 7:
				if errors.Is(r.SetSpeaker(r.now, sp, f), ErrEnded) && !r.ended {
					t.Fatal("ended too early")
				}
			case 8:
				r.DropSpeaker(r.now, sp)
			case 9:
				r.Join(r.now, li, f)
			case 10:
				r.Leave(r.now, li)
			case 11:
				held := r.remote(sdp.PCMA())
				held.Held, held.Direction = true, []string{sdp.Inactive, sdp.SendOnly}[i%2]
				r.Start(r.now, held)
			case 12, 13:
				r.seq += uint16(op)
				r.ts += uint32(op) * 160
				r.Packet(r.now, r.far, r.packet(alaw(int(op))))
			case 14:
				r.Packet(r.now, r.far, ops[i:])
			case 15:
				r.pt = []uint8{8, 0, 9, 13, 101, 96}[i%6]
			case 16:
				r.Speak(r.now, append(wav.Header(8000<<(op/100), 16, 1, wav.Unknown), ops...))
			case 18:
				r.Packet(r.now, r.far, rtp.Report{SSRC: 77, Sends: op > 99, About: true, Block: rtp.Block{SSRC: 0xCAFE, LastSR: uint32(op)}}.Append(nil, "n"))
			case 17:
				r.Ringing(r.now)
				if op > 240 {
					r.End(r.now, End{})
				}
			}
			r.Tick(r.now)
			r.now = r.now.Add(time.Duration(op) * time.Millisecond)
		}
		st := r.Stats(r.now)
		if st.SpokenMS < 0 || st.HeardMS < 0 || st.MOS < 0 || st.MOS > 4.5 || st.DiscardedMS < 0 || st.QueuedMS > 2000 || st.BacklogMS > 1000 {
			t.Fatalf("stats %+v", st)
		}
		for _, p := range r.sent {
			if len(p.payload) != 160 {
				t.Fatalf("a packet of %d bytes", len(p.payload))
			}
		}
	})
}
