package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/sdp"
)

// hears lets the far end say these samples in real time.
func (r *rig) hears(c codec, pcm []int16) { r.says(onWire(c, pcm)) }

func TestSocketsThatAskAreToldWhenTheCalleeSpeaks(t *testing.T) {
	for _, codec := range []sdp.Codec{sdp.PCMA(), sdp.G722()} {
		r := newRig(t, Config{})
		r.pt = codec.PayloadType
		c := mustCodec(codec)
		asks := listener(r, Format{Encoding: PCM16, Rate: 16000, Speech: true})
		other := listener(r, pcm16k)
		r.Start(r.now, r.remote(codec))
		r.hears(c, make([]int16, c.rate/2))
		r.hears(c, speech(c.rate/2, c.rate)) // the network's tone
		r.hears(c, make([]int16, c.rate/2))
		r.Answered(r.now)
		for range 2 {
			r.hears(c, make([]int16, c.rate/2))
			r.hears(c, speech(c.rate, c.rate))
		}
		r.hears(c, make([]int16, c.rate))
		if diff := cmp.Diff("start answered speech.started speech.stopped speech.started speech.stopped ", asks.kinds()); diff != "" {
			t.Errorf("%s: %s", codec.Name, diff)
		}
		if diff := cmp.Diff("start answered ", other.kinds()); diff != "" {
			t.Errorf("%s: who did not ask got %s", codec.Name, diff)
		}
		// It begins at 2000 ms and ends at 3000, which 300 ms of silence prove.
		for i, want := range []int64{2000, 3300, 3500, 4800} {
			late := int64(60)
			if codec.Name == "G722" && i%2 == 1 {
				late = 160 // its decoder takes a while to become silent
			}
			if got := asks.events[2+i].HeardMS; got < want || got > want+late {
				t.Errorf("%s: event %d after %d ms, want %d", codec.Name, i, got, want)
			}
		}
		if asks.events[2].Codec != codec.Name || asks.events[2].Call != "call_1" {
			t.Errorf("%+v", asks.events[2])
		}
		r.Leave(r.now, asks)
		if r.talk.detector != nil {
			t.Errorf("%s: somebody listens for speech though nobody asks", codec.Name)
		}
	}
}

func TestTheCalleeCanInterrupt(t *testing.T) {
	for _, auto := range []bool{true, false} {
		r := talking(t, Config{})
		c := mustCodec(sdp.PCMA())
		s := speaker(r, Format{Encoding: PCM16, Rate: 16000, AutoClear: auto})
		r.Speak(r.now, pcm(speech(10*16000, 16000)))
		r.Mark(r.now, "end")
		r.hears(c, make([]int16, 8000))
		r.hears(c, speech(800, 8000))
		if !auto {
			if diff := cmp.Diff("start answered ", s.kinds()); diff != "" || quietBytes(r.spoken(len(r.sent)-1)) {
				t.Errorf("without auto_clear: %s", diff)
			}
			continue
		}
		if diff := cmp.Diff("start answered speech.started mark cleared ", s.kinds()); diff != "" {
			t.Error(diff)
		}
		cleared := s.of(KindCleared)[0]
		if cleared.Reason != "speech" || cleared.PlayedMS < 1000 || cleared.PlayedMS > 1060 || cleared.PlayedMS+cleared.DiscardedMS != 10000 {
			t.Errorf("%+v", cleared)
		}
		// The onset takes 30 ms; one packet fades out, then there is silence.
		if !quietBytes(r.spoken(len(r.sent) - 1)) {
			t.Error("still speaking 100 ms after the callee began")
		}
		r.Speak(r.now, pcm(speech(3200, 16000)))
		r.hears(c, speech(1600, 8000))
		if n := len(s.of(KindCleared)); n != 1 || quietBytes(r.spoken(len(r.sent)-3)) {
			t.Errorf("cleared %d times: the answer to the interruption was not spoken", n)
		}
	}
}
