package tone

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
	"phonesocket/internal/audio/resample"
)

func mustNew(t testing.TB, cfg Config) *Generator {
	t.Helper()
	g, err := NewGenerator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// play returns all samples of the digits, read in chunks.
func play(t *testing.T, cfg Config, digits string, chunk int) []int16 {
	t.Helper()
	g := mustNew(t, cfg)
	if err := g.Play(digits); err != nil {
		t.Fatal(err)
	}
	var all []int16
	for {
		dst := make([]int16, chunk)
		n := g.Read(dst)
		all = append(all, dst[:n]...)
		if n < chunk {
			return all
		}
	}
}

func TestWhatIsPlayedIsHeard(t *testing.T) {
	for name, cfg := range map[string]Config{
		"as usual": {},
		"fast":     {Tone: 40 * time.Millisecond, Pause: 40 * time.Millisecond},
		"slow":     {Tone: time.Second, Pause: time.Second},
	} {
		if got := detect(play(t, cfg, keys+"00", 160)); got != keys+"00" {
			t.Errorf("%s: played is %q, heard %q", name, keys+"00", got)
		}
	}
	wide := play(t, Config{Rate: 16000}, keys, 320)
	r, err := resample.New(16000, 8000)
	if err != nil {
		t.Fatal(err)
	}
	narrow := make([]int16, r.MaxOut(len(wide)))
	if got := detect(narrow[:r.Process(narrow, wide)]); got != keys {
		t.Errorf("at 16 kHz: played is %q, heard %q", keys, got)
	}
}

func TestADigitLastsAsLongAsAsked(t *testing.T) {
	got := play(t, Config{Tone: 70 * time.Millisecond, Pause: 50 * time.Millisecond}, "12", 33)
	if len(got) != 2*8*120 {
		t.Errorf("two digits have %d samples, want %d", len(got), 2*8*120)
	}
	if measure.RMS(got[70*8:120*8]) != 0 {
		t.Error("the pause is not silent")
	}
}

func TestTheTonesHaveTheLevelsOfATelephone(t *testing.T) {
	s := play(t, Config{Tone: time.Second}, "5", 160)[800:7200]
	for _, tone := range []struct{ hz, peak float64 }{{770, levelLow}, {1336, levelHigh}} {
		re, im := 0.0, 0.0
		for i, v := range s {
			sin, cos := math.Sincos(2 * math.Pi * tone.hz * float64(i) / 8000)
			re += cos * float64(v)
			im += sin * float64(v)
		}
		if peak := 2 * math.Hypot(re, im) / float64(len(s)); math.Abs(peak-tone.peak) > 0.01*tone.peak {
			t.Errorf("%v Hz has a peak of %.0f, want %.0f", tone.hz, peak, tone.peak)
		}
	}
}

func TestTheOutputDoesNotDependOnTheReads(t *testing.T) {
	want := play(t, Config{}, "159D", 160)
	for _, chunk := range []int{1, 7, 1000, 100000} {
		if !slices.Equal(play(t, Config{}, "159D", chunk), want) {
			t.Errorf("reads of %d samples give another output", chunk)
		}
	}
}

func TestDigitsQueueAndStop(t *testing.T) {
	g := mustNew(t, Config{})
	for _, digits := range []string{"1", "2", ""} {
		if err := g.Play(digits); err != nil {
			t.Fatal(err)
		}
	}
	dst := make([]int16, 8000)
	if n := g.Read(dst); n != 2*1600 || detect(dst[:n]) != "12" || g.Playing() {
		t.Errorf("read are %d samples with %q", n, detect(dst[:n]))
	}
	if err := g.Play("34"); err != nil {
		t.Fatal(err)
	}
	g.Read(dst[:100])
	g.Stop()
	if n := g.Read(dst); n != 0 || g.Playing() {
		t.Errorf("after the stop there are %d samples", n)
	}
}

func TestWhatCannotBePlayedIsRefused(t *testing.T) {
	for digits, want := range map[string]string{"12E": "place 3", "é": "place 1", "1 2": "place 2", "a": "place 1"} {
		g := mustNew(t, Config{})
		if err := g.Play(digits); err == nil || !strings.Contains(err.Error(), want) || g.Playing() {
			t.Errorf("%q gives the error %v, want one with %q", digits, err, want)
		}
	}
	for _, cfg := range []Config{{Rate: 4000}, {Rate: 96000}, {Tone: time.Millisecond}, {Pause: time.Hour}, {Tone: -1}} {
		if _, err := NewGenerator(cfg); err == nil {
			t.Errorf("%+v gives no error", cfg)
		}
	}
}
