package session

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/audio/g711"
	"phonesocket/internal/audio/wav"
	"phonesocket/internal/media/sdp"
)

var (
	pcm16k = Format{Encoding: PCM16, Rate: 16000}
	pcm8k  = Format{Encoding: PCM16, Rate: 8000}
	alaw8k = Format{Encoding: ALaw, Rate: 8000}
	ulaw8k = Format{Encoding: ULaw, Rate: 8000}
)

func speaker(r *rig, f Format) *socket {
	r.t.Helper()
	s := &socket{}
	if err := r.SetSpeaker(r.now, s, f); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestSilenceRunsFromTheFirstTick(t *testing.T) {
	r := newRig(t, Config{})
	r.ticks(5)
	if len(r.sent) != 0 {
		t.Fatal("sent before the start")
	}
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.ticks(50)
	if len(r.sent) != 50 {
		t.Fatalf("%d packets in 50 ticks", len(r.sent))
	}
	for i, p := range r.sent {
		first := uint32(1<<32 - 1000)
		if p.Sequence != uint16(65530+i) || p.Timestamp != first+uint32(i)*160 || p.SSRC != 0xCAFE ||
			p.PayloadType != 8 || p.Marker != (i == 0) || p.to != r.far || len(p.payload) != 160 || !quietBytes(p.payload) {
			t.Fatalf("packet %d: %+v", i, p)
		}
	}
}

func TestMissedTicksAreCaughtUpWithTwoPackets(t *testing.T) {
	for _, c := range []struct {
		name   string
		late   time.Duration
		slots  []uint32 // of the packets of the late tick and the next one
		marker []bool
	}{
		{"a late tick sends one", 19 * time.Millisecond, []uint32{10, 11}, []bool{false, false}},
		{"one missed sends two", 20 * time.Millisecond, []uint32{10, 11, 12}, []bool{false, false, false}},
		{"a second missed is skipped", time.Second, []uint32{59, 60, 61}, []bool{true, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := talking(t, Config{})
			s := speaker(r, alaw8k)
			_ = s
			want := alaw(8000)
			r.Speak(r.now, want)
			r.ticks(10)
			grid := r.now
			r.Tick(grid.Add(c.late))
			r.Tick(grid.Add(c.late.Truncate(frameTime) + frameTime))
			var slots []uint32
			var marker []bool
			for _, p := range r.sent[10:] {
				slots = append(slots, (p.Timestamp-r.sent[0].Timestamp)/160)
				marker = append(marker, p.Marker)
			}
			if !cmp.Equal(slots, c.slots) || !cmp.Equal(marker, c.marker) {
				t.Errorf("sent slots %v, markers %v; want %v, %v", slots, marker, c.slots, c.marker)
			}
			if !bytes.Equal(r.spoken(0), want[:len(r.sent)*160]) {
				t.Error("speech was lost")
			}
			for i, p := range r.sent {
				if p.Sequence != uint16(65530+i) {
					t.Fatal("the sequence has a hole")
				}
			}
		})
	}
}

func TestATickSendsOnePacketThoughItTrembles(t *testing.T) {
	r := talking(t, Config{})
	grid := r.now
	for i := range 500 {
		late := time.Duration((i+1)*7%9) * time.Millisecond // the first one is late by 7 ms
		r.Tick(grid.Add(time.Duration(i)*frameTime + late))
		if len(r.sent) != i+1 {
			t.Fatalf("%d packets after %d ticks", len(r.sent), i+1)
		}
	}
}

func TestTicksThatComeTooOftenSendNothingMore(t *testing.T) {
	r := talking(t, Config{})
	for range 1000 {
		r.Tick(r.now)
		r.now = r.now.Add(time.Millisecond)
	}
	if n := len(r.sent); n < 50 || n > 51 {
		t.Errorf("%d packets in a second", n)
	}
}

func TestAMinuteSentInASecondArrivesBitExact(t *testing.T) {
	samples := speech(60*8000, 8000)
	a, u, au := make([]byte, len(samples)), make([]byte, len(samples)), make([]byte, len(samples))
	g711.EncodeALaw(a, samples)
	g711.EncodeULaw(u, samples)
	g711.ULawToALaw(au, u)
	for _, c := range []struct {
		name       string
		format     Format
		codec      sdp.Codec
		data, want []byte
	}{
		{"A-law passes through", alaw8k, sdp.PCMA(), a, a},
		{"µ-law passes through", ulaw8k, sdp.PCMU(), u, u},
		{"µ-law to A-law", ulaw8k, sdp.PCMA(), u, au},
		{"linear at 8 kHz", pcm8k, sdp.PCMA(), pcm(samples), a},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.Start(r.now, r.remote(c.codec))
			r.Answered(r.now)
			s := speaker(r, c.format)
			r.ticks(3)
			data := c.data
			for i := range 50 {
				r.Speak(r.now, data[i*len(data)/50:(i+1)*len(data)/50])
				r.ticks(1)
			}
			r.ticks(3000)
			from := 0
			for from < len(r.sent) && r.sent[from].payload[0] == r.sent[0].payload[0] && r.sent[from].payload[80] == r.sent[0].payload[80] {
				from++
			}
			if got := r.spoken(from)[:len(c.want)]; !bytes.Equal(got, c.want) {
				t.Error("what was spoken is not what was sent")
			}
			if st := r.Stats(r.now); st.SpokenMS != 60000 || st.Underruns != 0 || st.QueuedMS != 0 || st.RefusedMS != 0 {
				t.Errorf("stats %+v", st)
			}
			if e := s.of(KindError); len(e) != 0 {
				t.Errorf("errors %+v", e)
			}
		})
	}
}

func TestPiecesOfAnySizeSoundTheSame(t *testing.T) {
	for _, f := range []Format{pcm8k, pcm16k, {Encoding: PCM16, Rate: 24000}, {Encoding: PCM16, Rate: 48000}, alaw8k, ulaw8k} {
		data := pcm(speech(f.Rate, f.Rate))
		if f.Encoding != PCM16 {
			data = alaw(8000)
		}
		var want []byte
		for _, piece := range []int{len(data), 1, 3, 641, 4097} {
			r := talking(t, Config{})
			speaker(r, f)
			for rest := data; len(rest) > 0; {
				n := min(piece, len(rest))
				r.Speak(r.now, rest[:n])
				rest = rest[n:]
			}
			r.ticks(60)
			got := r.spoken(0)
			if want == nil {
				want = got
				heard := make([]int16, len(got))
				g711.DecodeALaw(heard, got)
				if c := correlation(speech(8000, 8000), heard, 40); f.Encoding == PCM16 && c < 0.99 {
					t.Errorf("%s at %d Hz: correlation %.3f", f.Name(), f.Rate, c)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s at %d Hz in pieces of %d bytes sounds different", f.Name(), f.Rate, piece)
			}
		}
	}
}

func TestSpeechBeforeTheAnswerStartsWithTheAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		speak func(r *rig, data []byte) // until then nothing may be heard
	}{
		{"before the codec is known", func(r *rig, data []byte) {
			r.Speak(r.now, data)
			r.Mark(r.now, "m")
			r.now = r.now.Add(time.Second)
			r.Start(r.now, r.remote(sdp.PCMA()))
		}},
		{"during early media", func(r *rig, data []byte) {
			r.Start(r.now, r.remote(sdp.PCMA()))
			r.ticks(20)
			r.Speak(r.now, data)
			r.Mark(r.now, "m")
		}},
		{"half before, half after the codec is known", func(r *rig, data []byte) {
			r.Speak(r.now, data[:len(data)/2])
			r.Start(r.now, r.remote(sdp.PCMA()))
			r.ticks(1)
			r.Speak(r.now, data[len(data)/2:])
			r.Mark(r.now, "m")
		}},
	} {
		for _, f := range []Format{alaw8k, pcm8k} {
			t.Run(c.name+", "+f.Name(), func(t *testing.T) {
				r := newRig(t, Config{})
				s := speaker(r, f)
				want := alaw(16000)
				data := want
				if f.Encoding == PCM16 {
					data = pcm(speech(16000, 8000))
				}
				c.speak(r, data)
				r.Ringing(r.now)
				r.ticks(50)
				if !quietBytes(r.spoken(0)) || len(s.of(KindMark)) != 0 {
					t.Fatal("spoke before the answer")
				}
				before := len(r.sent)
				r.Answered(r.now)
				r.ticks(101)
				if !bytes.Equal(r.spoken(before)[:16000], want) {
					t.Error("the first words are not complete")
				}
				if diff := cmp.Diff("start ringing answered mark ", s.kinds()); diff != "" {
					t.Error(diff)
				}
				if m := s.of(KindMark); m[0].PlayedMS != 2000 || m[0].Name != "m" || m[0].Call != "call_1" {
					t.Errorf("mark %+v", m)
				}
			})
		}
	}
}

func TestEarlySpeechHasALimit(t *testing.T) {
	for _, started := range []bool{false, true} {
		t.Run(fmt.Sprintf("started %t", started), func(t *testing.T) {
			r := newRig(t, Config{EarlyLimit: time.Second})
			s := speaker(r, alaw8k)
			if started {
				r.Start(r.now, r.remote(sdp.PCMA()))
			}
			data := alaw(16000)
			for i := range 10 {
				r.Speak(r.now, data[i*1600:(i+1)*1600])
			}
			if e := s.of(KindError); len(e) != 1 || e[0].Code != CodeEarlyFull || e[0].Message == "" {
				t.Errorf("errors %+v", e)
			}
			r.Start(r.now, r.remote(sdp.PCMA()))
			r.Answered(r.now)
			r.ticks(60)
			if got := r.spoken(0); !bytes.Equal(got[:8000], data[:8000]) || !quietBytes(got[8000:]) {
				t.Error("not the first second of it was spoken")
			}
			if st := r.Stats(r.now); st.RefusedMS != 1000 || st.SpokenMS != 1000 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestEarlySpeechCanBeDropped(t *testing.T) {
	r := newRig(t, Config{})
	s := speaker(r, Format{Encoding: ALaw, Rate: 8000, DropEarly: true})
	r.Speak(r.now, alaw(1600))
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.Speak(r.now, alaw(1600))
	r.Answered(r.now)
	r.ticks(20)
	if !quietBytes(r.spoken(0)) {
		t.Error("early speech was spoken")
	}
	want := alaw(320)
	r.Speak(r.now, want)
	r.ticks(2)
	if !bytes.Equal(r.spoken(20), want) {
		t.Error("speech after the answer was not spoken")
	}
	if st := r.Stats(r.now); len(s.of(KindError)) != 0 || st.DiscardedMS != 400 {
		t.Errorf("discarded %d ms, errors %+v; want 400 and none", st.DiscardedMS, s.of(KindError))
	}
}

func TestClearIsSilentWithinTwoPackets(t *testing.T) {
	r := talking(t, Config{})
	s := speaker(r, pcm16k)
	r.Speak(r.now, pcm(speech(60*16000, 16000)))
	r.Mark(r.now, "end")
	r.ticks(50)
	r.Clear(r.now)
	r.ticks(10)
	if got := r.spoken(50); quietBytes(got[:40]) || !quietBytes(got[40:]) {
		t.Error("not silent after 5 ms")
	}
	if diff := cmp.Diff("start answered mark cleared ", s.kinds()); diff != "" {
		t.Error(diff)
	}
	if m := s.events[2]; !m.Cleared || m.Name != "end" {
		t.Errorf("mark %+v", m)
	}
	if c := s.events[3]; c.PlayedMS < 1000 || c.PlayedMS > 1005 || c.PlayedMS+c.DiscardedMS < 59990 {
		t.Errorf("cleared %+v", c)
	}
	r.Speak(r.now, pcm(speech(1600, 16000)))
	r.Mark(r.now, "next")
	r.ticks(10)
	if quietBytes(r.spoken(60)) {
		t.Error("silent after new speech")
	}
	if m := s.of(KindMark); len(m) != 2 || m[1].Name != "next" || m[1].Cleared || m[1].PlayedMS != 1105 {
		t.Errorf("marks %+v", m)
	}
}

func TestNothingOfClearedSpeechIsLeftInTheNext(t *testing.T) {
	r := talking(t, Config{})
	s := speaker(r, pcm16k)
	r.Speak(r.now, pcm(speech(16001, 16000)))
	r.Speak(r.now, []byte{7}) // half a sample
	r.ticks(5)
	r.Clear(r.now)
	r.ticks(1)
	r.Speak(r.now, make([]byte, 6400))
	r.ticks(20)
	if !quietBytes(r.spoken(6)) {
		t.Error("silence after a clear is not silent")
	}
	r.DropSpeaker(r.now, s)
	r.Speak(r.now, nil)
}

func TestASpeakerWhoClearsWhatTheOneBeforeSaidCountsFromZero(t *testing.T) {
	r := talking(t, Config{})
	a := speaker(r, alaw8k)
	r.Speak(r.now, alaw(16000))
	r.ticks(10)
	r.DropSpeaker(r.now, a)
	b := speaker(r, alaw8k)
	r.Clear(r.now)
	r.ticks(5)
	r.Speak(r.now, alaw(1600))
	r.Mark(r.now, "own")
	r.ticks(20)
	if m := b.of(KindMark); len(m) != 1 || m[0].PlayedMS != 200 {
		t.Errorf("marks %+v, want one after 200 ms", m)
	}
	if c := b.of(KindCleared)[0]; c.PlayedMS != 0 || c.DiscardedMS != 1795 {
		t.Errorf("cleared %+v", c)
	}
}

func TestClearBeforeTheStartForgetsEarlySpeech(t *testing.T) {
	r := newRig(t, Config{})
	s := speaker(r, alaw8k)
	r.Mark(r.now, "at once")
	r.Speak(r.now, alaw(8000))
	r.Mark(r.now, "gone")
	r.Clear(r.now)
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.Answered(r.now)
	r.ticks(10)
	if !quietBytes(r.spoken(0)) {
		t.Error("cleared speech was spoken")
	}
	if diff := cmp.Diff("start mark mark cleared answered ", s.kinds()); diff != "" {
		t.Error(diff)
	}
	if m := s.of(KindMark); m[0].Cleared || !m[1].Cleared {
		t.Errorf("marks %+v", m)
	}
	if c := s.of(KindCleared)[0]; c.DiscardedMS != 1000 || c.PlayedMS != 0 {
		t.Errorf("cleared %+v", c)
	}
}

func TestMarksComeBackInOrder(t *testing.T) {
	r := talking(t, Config{})
	s := speaker(r, alaw8k)
	r.Mark(r.now, "empty")
	if n := len(s.of(KindMark)); n != 1 {
		t.Fatalf("%d marks at once, want 1", n)
	}
	for i := range 5 {
		r.Speak(r.now, alaw(800))
		r.Mark(r.now, fmt.Sprint(i))
	}
	r.ticks(30)
	var got []string
	for _, m := range s.of(KindMark) {
		got = append(got, fmt.Sprintf("%s@%d", m.Name, m.PlayedMS))
	}
	if diff := cmp.Diff([]string{"empty@0", "0@100", "1@200", "2@300", "3@400", "4@500"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFullQueueIsAnErrorEventAndNothingSilent(t *testing.T) {
	r := talking(t, Config{QueueLimit: time.Second})
	s := speaker(r, alaw8k)
	data := alaw(16000)
	r.Speak(r.now, data)
	r.Speak(r.now, data)
	e := s.of(KindError)
	if len(e) != 1 || e[0].Code != CodeQueueFull {
		t.Fatalf("errors %+v", e)
	}
	r.ticks(60)
	if got := r.spoken(0); !bytes.Equal(got[:8000], data[:8000]) || !quietBytes(got[8000:]) {
		t.Error("what was taken is not what was spoken")
	}
	if st := r.Stats(r.now); st.RefusedMS != 3000 {
		t.Errorf("refused %d ms, want 3000", st.RefusedMS)
	}
	r.Speak(r.now, data)
	if n := len(s.of(KindError)); n != 2 {
		t.Errorf("%d errors after the next overflow, want 2", n)
	}
}

func TestAWAVFileIsRecognisedByItself(t *testing.T) {
	file := append(wav.Header(24000, 16, 1, wav.Unknown), pcm(speech(24000, 24000))...)
	for _, piece := range []int{len(file), 1, 13, 960} {
		r := talking(t, Config{})
		s := speaker(r, pcm16k)
		for rest := file; len(rest) > 0; {
			n := min(piece, len(rest))
			r.Speak(r.now, rest[:n])
			rest = rest[n:]
		}
		r.ticks(51)
		heard := make([]int16, 8000)
		g711.DecodeALaw(heard, r.spoken(0)[:8000])
		if c := correlation(speech(8000, 8000), heard, 40); c < 0.99 {
			t.Errorf("in pieces of %d: correlation %.3f", piece, c)
		}
		if st := r.Stats(r.now); st.SpokenMS != 1000 || len(s.of(KindError)) != 0 {
			t.Errorf("in pieces of %d: spoke %d ms, errors %+v", piece, st.SpokenMS, s.of(KindError))
		}
	}
}

func TestTwoWAVFilesAreSpokenOneAfterTheOther(t *testing.T) {
	r := talking(t, Config{})
	speaker(r, pcm16k)
	for _, rate := range []int{8000, 48000} {
		r.Speak(r.now, append(wav.Header(rate, 16, 1, uint32(rate)), pcm(speech(rate/2, rate))...))
	}
	r.ticks(60)
	if st := r.Stats(r.now); st.SpokenMS != 1000 {
		t.Errorf("spoke %d ms, want 1000", st.SpokenMS)
	}
}

func TestAWAVFileThatCannotBeSpokenIsAnError(t *testing.T) {
	r := talking(t, Config{})
	s := speaker(r, pcm16k)
	file := append(wav.Header(44100, 16, 1, wav.Unknown), pcm(speech(4410, 44100))...)
	for rest := file; len(rest) > 0; {
		n := min(1000, len(rest))
		r.Speak(r.now, rest[:n])
		rest = rest[n:]
	}
	r.ticks(10)
	if e := s.of(KindError); len(e) != 1 || e[0].Code != CodeFormat {
		t.Errorf("errors %+v", e)
	}
	if !quietBytes(r.spoken(0)) {
		t.Error("noise was spoken")
	}
}

// delay is how many milliseconds lie between what a speaker has said and what
// the callee has heard of it.
func (r *rig) delay(saidMS int) int { return saidMS - int(r.Stats(r.now).SpokenMS) }

func TestASpeakerThatStallsIsBackWithinTwoSeconds(t *testing.T) {
	for _, codec := range []sdp.Codec{sdp.PCMA(), sdp.G722()} {
		r := newRig(t, Config{})
		r.Start(r.now, r.remote(codec))
		r.Answered(r.now)
		s := speaker(r, pcm16k)
		voice := speech(20*16000, 16000)
		fed, before, after := 0, 0, 0
		for i := range 900 {
			if stalled := i > 300 && i <= 315; !stalled {
				n := (i + 1) * 320
				r.Speak(r.now, pcm(voice[fed:n]))
				fed = n
			}
			r.ticks(1)
			switch i {
			case 300:
				before = r.delay((i + 1) * 20)
			case 316:
				if d := r.delay((i + 1) * 20); d < before+280 {
					t.Errorf("%s: %d ms late after the stall, %d before: the test proves nothing", codec.Name, d, before)
				}
			case 415:
				after = r.delay((i + 1) * 20)
			}
		}
		if after > before+30 {
			t.Errorf("%s: %d ms late two seconds after the stall, %d before", codec.Name, after, before)
		}
		r.Mark(r.now, "late")
		r.ticks(5)
		if m := s.of(KindMark); len(m) != 1 || m[0].Underruns != 1 {
			t.Errorf("%s: marks %+v, want one that knows of the underrun", codec.Name, m)
		}
		if st := r.Stats(r.now); st.Underruns != 1 || st.TrimmedMS < 250 || st.TrimmedMS > 320 {
			t.Errorf("%s: %+v", codec.Name, st)
		}
	}
}

func TestTheEndOfAnUtteranceIsSpokenWhole(t *testing.T) {
	for _, codec := range []sdp.Codec{sdp.PCMA(), sdp.G722()} {
		for _, rate := range []int{8000, 16000, 24000, 48000} {
			r := newRig(t, Config{})
			r.Start(r.now, r.remote(codec))
			r.Answered(r.now)
			s := speaker(r, Format{Encoding: PCM16, Rate: rate})
			// Half a second that ends with a click in its last samples.
			voice := make([]int16, rate/2)
			for i := range rate / 1000 {
				voice[len(voice)-1-i] = 20000
			}
			r.Speak(r.now, pcm(voice))
			r.Mark(r.now, "end")
			r.ticks(40)
			c, _ := codecOf(codec)
			heard := samplesOf(c, r.spoken(0))
			sum := 0
			for _, v := range heard {
				sum += max(int(v), 0)
			}
			if want := 20000 * c.rate / 1000; sum < want*7/10 {
				t.Errorf("%s at %d Hz: %d of %d of the click were spoken", codec.Name, rate, sum, want)
			}
			if m := s.of(KindMark); len(m) != 1 || m[0].PlayedMS != 500 {
				t.Errorf("%s at %d Hz: marks %+v, want one after 500 ms", codec.Name, rate, m)
			}
			if st := r.Stats(r.now); st.SpokenMS != 500 || st.QueuedMS != 0 {
				t.Errorf("%s at %d Hz: %+v", codec.Name, rate, st)
			}
		}
	}
}

func TestThereIsOneSpeaker(t *testing.T) {
	r := talking(t, Config{})
	a, b := speaker(r, alaw8k), &socket{}
	if err := r.SetSpeaker(r.now, b, alaw8k); !errors.Is(err, ErrSpeakerTaken) {
		t.Errorf("second speaker: %v", err)
	}
	r.DropSpeaker(r.now, b)
	if err := r.SetSpeaker(r.now, b, alaw8k); !errors.Is(err, ErrSpeakerTaken) {
		t.Errorf("after a stranger left: %v", err)
	}
	want := alaw(1600)
	r.Speak(r.now, want)
	r.DropSpeaker(r.now, a)
	if err := r.SetSpeaker(r.now, b, alaw8k); err != nil {
		t.Fatal(err)
	}
	r.Speak(r.now, want[:160])
	r.Mark(r.now, "b")
	r.ticks(12)
	if !bytes.Equal(r.spoken(0)[:1600], want) {
		t.Error("what the first speaker said was cut off")
	}
	if m := b.of(KindMark); len(m) != 1 || m[0].PlayedMS != 20 {
		t.Errorf("marks of the second speaker %+v", m)
	}
	if len(a.of(KindMark)) != 0 {
		t.Error("the first speaker got the second one's mark")
	}
	if err := r.SetSpeaker(r.now, a, Format{Encoding: ULaw, Rate: 16000}); err == nil {
		t.Error("a bad format was taken")
	}
	r.End(r.now, End{Status: "completed", Reason: "remote_bye", SIPCode: 200})
	if err := r.SetSpeaker(r.now, a, alaw8k); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	r.ticks(5)
	if len(r.sent) != 12 {
		t.Error("sends after the end")
	}
	if e := b.of(KindEnd); len(e) != 1 || e[0].Reason != "remote_bye" || e[0].DurationMS != 240 || e[0].PlayedMS != 220 {
		t.Errorf("end %+v", e)
	}
}
