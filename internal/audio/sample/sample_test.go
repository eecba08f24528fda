package sample

import (
	"math"
	"testing"

	"phonesocket/internal/audio/wav"
)

func TestBothRecordingsHoldSomeSecondsOfSpeech(t *testing.T) {
	tests := []struct {
		name   string
		sample func() ([]int16, int)
		rate   int
	}{
		{"the speech of the caller", Speech, 16000},
		{"the phrase of the called party", Phrase, 8000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pcm, rate := tt.sample()
			if rate != tt.rate {
				t.Fatalf("the rate is %d Hz, want %d", rate, tt.rate)
			}
			if seconds := float64(len(pcm)) / float64(rate); seconds < 3 || seconds > 5 {
				t.Errorf("it lasts %.1f s, want 3 to 5", seconds)
			}
			peak, loud := 0.0, 0
			for i := 0; i+rate/50 <= len(pcm); i += rate / 50 {
				sum := 0.0
				for _, v := range pcm[i : i+rate/50] {
					peak = max(peak, math.Abs(float64(v)))
					sum += float64(v) * float64(v)
				}
				if math.Sqrt(sum/float64(rate/50)) > 200 {
					loud++
				}
			}
			if peak < 20000 || peak > 25000 {
				t.Errorf("its peak is %v, want about -3 dB", peak)
			}
			if share := float64(loud) * float64(rate/50) / float64(len(pcm)); share < 0.6 {
				t.Errorf("%.0f %% of it is sound, want at least 60", 100*share)
			}
		})
	}
}

func TestEachCallerGetsASliceOfItsOwn(t *testing.T) {
	first, _ := Speech()
	was := first[1000]
	first[1000]++
	if second, _ := Speech(); second[1000] != was {
		t.Error("who changes the samples changes them for all")
	}
	file := SpeechWAV()
	clear(file)
	if second, _ := Speech(); second[1000] != was {
		t.Error("who changes the file changes it for all")
	}
}

func TestTheFileIsWhatSpeechDecodes(t *testing.T) {
	pcm, rate, err := wav.Decode(SpeechWAV())
	if err != nil {
		t.Fatal(err)
	}
	if want, wantRate := Speech(); rate != wantRate || len(pcm) != len(want) {
		t.Errorf("the file has %d samples at %d Hz, Speech %d at %d", len(pcm), rate, len(want), wantRate)
	}
}
