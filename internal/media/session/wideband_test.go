package session

import (
	"bytes"
	"math"
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
	"phonesocket/internal/media/sdp"
)

// hiss is a tone of 5.5 kHz, which only a wideband call carries.
func hiss(n, rate int) []int16 {
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(8000 * math.Sin(2*math.Pi*5500*float64(i)/float64(rate)))
	}
	return s
}

func TestAWidebandCallCarriesWhatANarrowOneCannot(t *testing.T) {
	for _, codec := range []sdp.Codec{sdp.G722(), sdp.PCMA()} {
		r := newRig(t, Config{})
		r.pt = codec.PayloadType
		speaker(r, pcm16k)
		r.Speak(r.now, pcm(hiss(16000, 16000))) // before the codec is known
		r.Start(r.now, r.remote(codec))
		r.Answered(r.now)
		l := listener(r, pcm16k)
		r.ticks(55)
		c, _ := codecOf(codec)
		spoken := measure.RMS(samplesOf(c, r.spoken(0))[c.rate/10 : c.rate*9/10])
		r.says(onWire(c, hiss(2*c.rate, c.rate)))
		heard := measure.RMS(samples(l.audio)[3200:16000])
		if codec.Name == "G722" && (spoken < 4500 || heard < 4500) || codec.Name == "PCMA" && spoken > 300 {
			t.Errorf("%s: spoke at a level of %.0f, heard at %.0f", codec.Name, spoken, heard)
		}
		for _, p := range r.sent {
			if p.PayloadType != codec.PayloadType || len(p.payload) != 160 {
				t.Fatalf("%s: a packet of type %d with %d bytes", codec.Name, p.PayloadType, len(p.payload))
			}
		}
		if step := r.sent[1].Timestamp - r.sent[0].Timestamp; step != 160 {
			t.Errorf("%s: the timestamp steps by %d, want 160 (RFC 3551 4.5.2)", codec.Name, step)
		}
	}
}

func TestSilenceOfAWidebandCallIsSilent(t *testing.T) {
	r := newRig(t, Config{})
	r.Start(r.now, r.remote(sdp.G722()))
	r.ticks(10)
	r.Answered(r.now)
	r.ticks(10)
	c, _ := codecOf(sdp.G722())
	for i, v := range samplesOf(c, r.spoken(0)) {
		if v > 16 || v < -16 {
			t.Fatalf("sample %d of silence is %d", i, v)
		}
	}
}

func TestLossInAWidebandCallKeepsTheTimeLine(t *testing.T) {
	r := newRig(t, Config{})
	r.pt = 9
	r.Start(r.now, r.remote(sdp.G722()))
	r.Answered(r.now)
	l := listener(r, pcm16k)
	c, _ := codecOf(sdp.G722())
	voice := speech(10*16000, 16000)
	wire := onWire(c, voice)
	for i := range 500 {
		p := r.packet(wire[i*160 : (i+1)*160])
		if i%20 != 13 && (i < 300 || i > 302) {
			r.Packet(r.now, r.far, p)
		}
		r.ticks(1)
	}
	got := samples(l.audio)
	if len(got) != len(voice) {
		t.Errorf("%d samples were heard, the time line has %d", len(got), len(voice))
	}
	if k := correlation(voice, got, 32); k < 0.95 {
		t.Errorf("correlation %.3f", k)
	}
}

func TestTheCodecChangesBetweenNarrowAndWide(t *testing.T) {
	for _, order := range [][]sdp.Codec{
		{sdp.PCMA(), sdp.G722(), sdp.PCMU()},
		{sdp.G722(), sdp.PCMA(), sdp.G722()},
	} {
		r := newRig(t, Config{})
		s := speaker(r, pcm8k)
		l := listener(r, pcm8k)
		voice := speech(3*8000, 8000)
		r.Speak(r.now, pcm(voice))
		r.Mark(r.now, "end")
		var spoken []int16
		for i, codec := range order {
			r.pt = codec.PayloadType
			r.Start(r.now, r.remote(codec))
			r.Answered(r.now)
			c, _ := codecOf(codec)
			before := len(r.sent)
			r.says(onWire(c, speech(3*c.rate, c.rate)[i*c.rate:(i+1)*c.rate]))
			part := samplesOf(c, r.spoken(before))
			if c.wideband() { // every second sample will do for this speech
				for k := range len(part) / 2 {
					part[k] = part[2*k]
				}
				part = part[:len(part)/2]
			}
			spoken = append(spoken, part...)
			if sent := r.sent[before]; !sent.Marker || sent.PayloadType != codec.PayloadType {
				t.Errorf("first packet in %s: %+v", codec.Name, sent.Header)
			}
		}
		r.ticks(3)
		for name, got := range map[string][]int16{"spoken": spoken, "heard": samples(l.audio)} {
			if len(got) < 24000-160 || len(got) > 24000 {
				t.Errorf("%s %d samples, want 24000", name, len(got))
			}
			for i := range 3 {
				if k := correlation(voice[i*8000+800:(i+1)*8000-800], got[i*8000+800:(i+1)*8000-800], 60); k < 0.97 {
					t.Errorf("%s in %s, part %d: correlation %.3f", name, order[i].Name, i, k)
				}
			}
		}
		if m := s.of(KindMark); len(m) != 1 || m[0].PlayedMS != 3000 {
			t.Errorf("marks %+v, want one after 3000 ms", m)
		}
	}
}

func TestANarrowPacketInAWidebandCallIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		agreed sdp.Codec
		sent   uint8
	}{{sdp.G722(), 8}, {sdp.PCMA(), 9}} {
		r := newRig(t, Config{})
		r.Start(r.now, r.remote(c.agreed))
		r.Answered(r.now)
		l := listener(r, pcm8k)
		w, _ := staticCodec(c.sent)
		r.pt = c.sent
		r.says(onWire(w, speech(2*w.rate, w.rate)))
		if k := correlation(speech(16000, 8000), samples(l.audio), 60); k < 0.97 {
			t.Errorf("type %d in a call with %s: correlation %.3f", c.sent, c.agreed.Name, k)
		}
	}
}

func TestEarlySpeechOfSeveralRatesKeepsItsOrderAndItsMarks(t *testing.T) {
	for _, codec := range Codecs() {
		r := newRig(t, Config{})
		a := speaker(r, pcm8k)
		r.Speak(r.now, pcm(speech(4000, 8000)))
		r.Mark(r.now, "one")
		r.DropSpeaker(r.now, a)
		b := speaker(r, Format{Encoding: PCM16, Rate: 48000})
		r.Speak(r.now, pcm(speech(48000, 48000)[24000:]))
		r.Mark(r.now, "two")
		if st := r.Stats(r.now); st.QueuedMS != 1000 {
			t.Errorf("%d ms wait, want 1000", st.QueuedMS)
		}
		r.now = r.now.Add(time.Second)
		r.Start(r.now, r.remote(codec))
		r.Answered(r.now)
		r.Speak(r.now, pcm(speech(72000, 48000)[48000:]))
		r.Mark(r.now, "three")
		r.ticks(80)
		c, _ := codecOf(codec)
		// A filter ends and another begins after half a second.
		want, got := speech(c.rate*3/2, c.rate), samplesOf(c, r.spoken(0))
		for _, part := range [][2]int{{0, c.rate / 2}, {c.rate / 2, c.rate * 3 / 2}} {
			if k := correlation(want[part[0]:part[1]], got[part[0]:], c.rate/100); k < 0.97 {
				t.Errorf("%s: correlation %.3f from sample %d on", codec.Name, k, part[0])
			}
		}
		m := b.of(KindMark)
		if len(m) != 3 || m[0].Name != "one" || m[1].PlayedMS != 500 || m[2].PlayedMS != 1000 {
			t.Errorf("%s: marks %+v", codec.Name, m)
		}
		if st := r.Stats(r.now); st.SpokenMS != 1500 || st.QueuedMS != 0 {
			t.Errorf("%s: %+v", codec.Name, st)
		}
	}
}

func TestComfortNoiseIsAsLoudAsTheFarEndSays(t *testing.T) {
	r := talking(t, Config{})
	l := listener(r, alaw8k)
	r.says(alaw(8000))
	r.pt = typeComfort
	p := r.packet([]byte{50})
	r.ts += 159
	r.pt = 8
	r.Packet(r.now, r.far, p)
	before := len(l.audio)
	r.ticks(50)
	noise := samplesOf(mustCodec(sdp.PCMA()), l.audio[before:])
	if len(noise) < 7800 || len(noise) > 8200 {
		t.Errorf("%d samples of noise in a second", len(noise))
	}
	// -50 dBov is 104.
	if level := measure.RMS(noise); level < 90 || level > 120 {
		t.Errorf("the noise has a level of %.0f, want 104", level)
	}
	r.ts += 8000 - 160
	r.says(alaw(1600))
	if !bytes.HasSuffix(l.audio, alaw(1600)[160:]) {
		t.Error("speech after the pause is not heard")
	}
	if st := r.Stats(r.now); st.ConcealedMS != 0 || st.RTPPacketsLost != 0 {
		t.Errorf("%+v", st)
	}
}

func mustCodec(c sdp.Codec) codec {
	w, ok := codecOf(c)
	if !ok {
		panic(c.Name)
	}
	return w
}
