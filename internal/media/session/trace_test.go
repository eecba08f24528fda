package session

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/test/sound"
)

// path is what a network does to a stream of packets; the traces with their
// golden delays stand in reorder, here the whole way to the socket is tested.
type path struct {
	name           string
	jitterMS       float64 // mean of an exponential distribution
	loss, stay     float64 // chance that a loss begins, and that it goes on
	doubled, swaps float64
	spikes         bool
	ppm            float64
	concealed      float64 // golden: share of the time line, in percent
	correlation    float64 // golden: of what was sent with what was heard
}

func paths() []path {
	return []path{
		{name: "clean", jitterMS: .4, correlation: 0.99},
		{name: "60 ms of jitter, 0.8 % loss", jitterMS: 13, loss: .008, concealed: 1.1, correlation: 0.98},
		{name: "120 ms of jitter, 4.6 % loss", jitterMS: 26, loss: .046, concealed: 5.9, correlation: 0.95},
		{name: "loss in bursts, 20 %", jitterMS: 6, loss: .1, stay: .6, concealed: 22.1, correlation: 0.82},
		{name: "out of order and doubled", jitterMS: 1, swaps: .05, doubled: .05, correlation: 0.99},
		{name: "congestion", jitterMS: 1, spikes: true, concealed: 2.5, correlation: 0.93},
		{name: "100 ppm fast", jitterMS: .4, ppm: 100, correlation: 0.99},
		{name: "100 ppm slow", jitterMS: .4, ppm: -100, correlation: 0.99},
	}
}

// walk sends packets of a stream through a network: when each arrives, and which.
func (n path) walk(packets int) []arrival {
	r := rand.New(rand.NewPCG(11, 12))
	var out []arrival
	lossy := false
	for i := range packets {
		if lossy {
			lossy = r.Float64() < n.stay
		} else {
			lossy = r.Float64() < n.loss
		}
		ms := float64(i)*20*(1-n.ppm*1e-6) + r.ExpFloat64()*n.jitterMS
		if n.spikes {
			ms += max(0, 300-float64(i%400)*10)
		}
		if r.Float64() < n.swaps {
			ms += 35
		}
		switch {
		case i == 0:
			ms = 0 // what comes before the first packet is not waited for
		case lossy && i < packets-1:
			continue
		}
		out = append(out, arrival{time.Duration(ms * 1e6), i})
		if r.Float64() < n.doubled {
			out = append(out, arrival{time.Duration((ms + 15) * 1e6), i})
		}
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].at < out[b].at })
	return out
}

type arrival struct {
	at    time.Duration
	index int
}

// TestEverythingHeardFollowsTheTimeLine holds the whole way from packets to a
// socket against the traces of a network: not one sample too many or too few.
func TestEverythingHeardFollowsTheTimeLine(t *testing.T) {
	narrow, wide := sound.Speech8k(t), sound.Speech16k(t)
	for _, codec := range Codecs() {
		c := mustCodec(codec)
		voice := narrow
		if c.wideband() {
			voice = wide
		}
		for len(voice) < 30*c.rate {
			voice = append(voice, voice...)
		}
		voice = voice[:30*c.rate]
		wire := onWire(c, voice)
		for _, n := range paths() {
			t.Run(codec.Name+", "+n.name, func(t *testing.T) {
				r := newRig(t, Config{})
				r.Start(r.now, r.remote(codec))
				r.Answered(r.now)
				l := listener(r, Format{Encoding: PCM16, Rate: c.rate})
				r.pt = codec.PayloadType
				var packets [][]byte
				for i := range 1500 {
					packets = append(packets, r.packet(wire[i*wireFrame:(i+1)*wireFrame]))
				}
				start := r.now
				for _, a := range n.walk(1500) {
					for r.now.Sub(start) < a.at {
						r.ticks(1)
					}
					r.Packet(start.Add(a.at), r.far, packets[a.index])
				}
				r.order.Flush(r.now)
				got := samples(l.audio)
				if len(got) != len(voice) {
					t.Errorf("%d samples were heard, the time line has %d", len(got), len(voice))
				}
				st := r.Stats(r.now)
				concealed := 100 * float64(st.ConcealedMS) / float64(st.HeardMS)
				if concealed > n.concealed {
					t.Errorf("%.2f %% are concealed, want %.2f %% at most", concealed, n.concealed)
				}
				like := correlation(voice[:6*c.rate], got, 25*c.rate/8000)
				if like < n.correlation {
					t.Errorf("correlation %.3f, want %.2f at least", like, n.correlation)
				}
				t.Logf("%.2f %% concealed, %d ms filled, correlation %.3f, score %.2f", concealed, st.FilledMS, like, st.MOS)
			})
		}
	}
}

// TestAMinuteWithABadSpeakerEndsWithTheDelayItBeganWith: the speaker stalls,
// catches up, sends ahead, disappears and comes back; in the end a word is heard
// as soon as in the beginning.
func TestAMinuteWithABadSpeakerEndsWithTheDelayItBeganWith(t *testing.T) {
	voice := sound.Speech16k(t)
	for len(voice) < 60*16000 {
		voice = append(voice, voice...)
	}
	for _, codec := range []sdp.Codec{sdp.PCMA(), sdp.G722()} {
		t.Run(codec.Name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.Start(r.now, r.remote(codec))
			r.Answered(r.now)
			who := speaker(r, pcm16k)
			said, due := 0, 0 // of voice, in packets
			var delays [60]int
			for i := range 3000 {
				r.now = r.now.Add(7 * time.Millisecond) // messages come between the ticks
				due++
				switch at := i * 20; {
				case at >= 10000 && at < 10300, at >= 15000 && at < 15150, at >= 33000 && at < 34500:
					// stalls, and all comes afterwards
				case at >= 20000 && at < 22000:
					said = due // says nothing
				case at == 26000:
					r.DropSpeaker(r.now, who)
					said = due
				case at > 26000 && at < 28000:
					said = due // is gone
				case at == 28000:
					who = speaker(r, pcm16k)
					fallthrough
				case at == 40000:
					if at == 40000 {
						due += 100 // two seconds ahead
					}
					fallthrough
				default:
					if at > 40000 && at < 42000 {
						due-- // which are a pause afterwards
						break
					}
					r.Speak(r.now, pcm(voice[said*320:due*320]))
					said = due
				}
				r.Tick(r.now.Add(13 * time.Millisecond))
				r.now = r.now.Add(13 * time.Millisecond)
				st := r.Stats(r.now)
				delays[i/50] = max(delays[i/50], int(st.QueuedMS))
			}
			st := r.Stats(r.now)
			before, after := delays[5], delays[59]
			if after > before+20 {
				t.Errorf("%d ms wait in the end, %d ms in the beginning: %v", after, before, delays)
			}
			if e := who.of(KindError); len(e) != 0 {
				t.Errorf("errors %+v", e)
			}
			t.Logf("%d ms before, %d after, in each second %v; %d underruns, %d ms trimmed", before, after, delays, st.Underruns, st.TrimmedMS)
		})
	}
}

// TestSyntheticSpeechALittleFasterThanRealTimeIsFluent: 100 ms pieces at 1.1
// times real time, each up to some 100 ms late.
func TestSyntheticSpeechALittleFasterThanRealTimeIsFluent(t *testing.T) {
	for _, codec := range []sdp.Codec{sdp.PCMA(), sdp.G722()} {
		r := newRig(t, Config{})
		r.Start(r.now, r.remote(codec))
		r.Answered(r.now)
		speaker(r, pcm16k)
		chance := rand.New(rand.NewPCG(3, 1))
		piece := pcm(speech(1600, 16000))
		var at []time.Duration
		for u := range 20 {
			for k := range 50 {
				ms := float64(u)*8000 + float64(k)*100/1.1 + chance.ExpFloat64()*30
				at = append(at, time.Duration(ms*1e6))
			}
		}
		slices.Sort(at)
		start := r.now
		for len(at) > 0 || r.Stats(r.now).QueuedMS > 0 {
			for len(at) > 0 && at[0] <= r.now.Sub(start) {
				r.Speak(start.Add(at[0]), piece)
				at = at[1:]
			}
			r.ticks(1)
		}
		st := r.Stats(r.now)
		if st.Underruns > 4 || st.SpokenMS != 100000 || st.TrimmedMS != 0 {
			t.Errorf("%s: %d underruns, %d ms spoken, %d trimmed, prebuffer %d", codec.Name, st.Underruns, st.SpokenMS, st.TrimmedMS, st.PrebufferMS)
		}
	}
}
