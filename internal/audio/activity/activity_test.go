package activity

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/test/sound"
)

func mustNew(t testing.TB, cfg Config) *Detector {
	t.Helper()
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// voice returns speech at 8 kHz without the silence at its ends.
func voice(t *testing.T) []int16 {
	t.Helper()
	s := sound.Speech8k(t)
	return s[900 : len(s)-1800]
}

func silence(d time.Duration) []int16 { return sound.Silence(8000, d) }

// with adds noise of an effective value.
func with(s []int16, noise float64) []int16 {
	rng := rand.New(rand.NewPCG(1, 8))
	noisy := make([]int16, len(s))
	for i, v := range s {
		noisy[i] = int16(min(max(float64(v)+noise*rng.NormFloat64(), -32768), 32767))
	}
	return noisy
}

// louder multiplies all samples.
func louder(s []int16, gain float64) []int16 {
	out := make([]int16, len(s))
	for i, v := range s {
		out[i] = int16(gain * float64(v))
	}
	return out
}

// change is when speech began or ended.
type change struct {
	at       time.Duration
	speaking bool
}

// listen notes all changes, to 10 ms.
func listen(d *Detector, s []int16) []change {
	var changes []change
	for i := 0; i < len(s); i += 80 {
		before := d.Speaking()
		if now := d.Hear(s[i:min(i+80, len(s))]); now != before {
			changes = append(changes, change{time.Duration(i/80+1) * 10 * time.Millisecond, now})
		}
	}
	return changes
}

func TestSpeechBeginsAndEndsOnce(t *testing.T) {
	spoken := voice(t)
	for name, tt := range map[string]struct{ gain, noise float64 }{
		"on a silent line":             {1, 0},
		"quietly":                      {0.08, 0},
		"with noise 40 dB below":       {1, 30},
		"with noise at -44 dBov":       {1, 200},
		"quietly, with noise":          {0.3, 50},
		"too loud, clipped as it came": {1.3, 10},
	} {
		t.Run(name, func(t *testing.T) {
			line := with(louder(slices.Concat(silence(time.Second), spoken, silence(time.Second)), tt.gain), tt.noise)
			d := mustNew(t, Config{HangOver: 500 * time.Millisecond})
			got := listen(d, line)
			if len(got) != 2 || !got[0].speaking {
				t.Fatalf("the changes are %v, want one beginning and one end", got)
			}
			end := time.Second + time.Duration(len(spoken))*time.Second/8000
			if late := got[0].at - time.Second; late < 0 || late > 150*time.Millisecond {
				t.Errorf("the beginning is told after %v, want at most 150ms", late)
			}
			if late := got[1].at - end; late < 250*time.Millisecond || late > 600*time.Millisecond {
				t.Errorf("the end is told after %v, want about 500ms", late)
			}
		})
	}
}

func TestAtHigherRatesTheSameIsHeard(t *testing.T) {
	spoken := sound.Speech16k(t)
	line := slices.Concat(sound.Silence(16000, time.Second), spoken, sound.Silence(16000, time.Second))
	d := mustNew(t, Config{Rate: 16000, HangOver: 500 * time.Millisecond})
	began := 0
	for i := 0; i < len(line); i += 320 {
		before := d.Speaking()
		if d.Hear(line[i:min(i+320, len(line))]) && !before {
			began++
		}
	}
	if began != 1 || d.Speaking() {
		t.Errorf("speech began %d times and goes on: %v; want once and ended", began, d.Speaking())
	}
}

func TestTheHangOverDecidesWhatIsAPause(t *testing.T) {
	tone := sound.Sine(8000, 200, 5000, 200*time.Millisecond)
	line := slices.Concat(silence(time.Second), tone, silence(250*time.Millisecond), tone, silence(time.Second))
	for hangOver, want := range map[time.Duration]int{200 * time.Millisecond: 4, 300 * time.Millisecond: 2} {
		if got := listen(mustNew(t, Config{HangOver: hangOver}), line); len(got) != want {
			t.Errorf("a pause of 250ms gives the changes %v with a hang-over of %v, want %d", got, hangOver, want)
		}
	}
}

func TestWhatIsNoVoiceIsNotSpeech(t *testing.T) {
	click := silence(2 * time.Second)
	for i := 4000; i < len(click); i += 2000 {
		copy(click[i:], sound.Sine(8000, 300, 20000, 15*time.Millisecond))
	}
	drift := make([]int16, 16000)
	for i := range drift {
		drift[i] = 8000 + int16(2000*math.Sin(2*math.Pi*float64(i)/8000))
	}
	for name, line := range map[string][]int16{
		"silence":                  silence(2 * time.Second),
		"steady noise":             with(silence(5*time.Second), 300),
		"a hiss that begins":       append(silence(time.Second), with(silence(2*time.Second), 2000)...),
		"clicks":                   click,
		"an offset that drifts":    append(silence(time.Second), drift...),
		"a voice below -55 dBov":   append(silence(time.Second), sound.Sine(8000, 200, 60, time.Second)...),
		"a hum from the beginning": sound.Sine(8000, 50, 1000, 5*time.Second),
	} {
		if got := listen(mustNew(t, Config{}), line); len(got) != 0 {
			t.Errorf("%s: the changes are %v, want none", name, got)
		}
	}
}

func TestAFanIsSpeechForSomeSecondsOnly(t *testing.T) {
	fan := sound.Sine(8000, 300, 400, 20*time.Second)
	got := listen(mustNew(t, Config{}), slices.Concat(with(silence(time.Second), 30), fan))
	if len(got) != 2 || got[1].at > 15*time.Second {
		t.Errorf("the changes are %v, want an end within 15 s", got)
	}
}

func TestTheBackgroundIsFound(t *testing.T) {
	d := mustNew(t, Config{})
	if got := d.Background(); got != -100 {
		t.Errorf("before anything was heard it is at %.1f dBov, want -100", got)
	}
	d.Hear(with(slices.Concat(silence(time.Second), voice(t), silence(time.Second)), 100))
	if got := d.Background(); got < -54 || got > -49 {
		t.Errorf("noise at -50.3 dBov is found at %.1f", got)
	}
}

func TestTheResultDoesNotDependOnTheChunks(t *testing.T) {
	line := with(slices.Concat(silence(time.Second), voice(t), silence(time.Second)), 20)
	want := mustNew(t, Config{})
	want.Hear(line)
	for _, size := range []int{1, 7, 80, 160, 333} {
		d := mustNew(t, Config{})
		for rest := line; len(rest) > 0; {
			n := min(size, len(rest))
			d.Hear(rest[:n])
			rest = rest[n:]
		}
		if *d != *want {
			t.Errorf("chunks of %d samples lead to %+v, one piece to %+v", size, *d, *want)
		}
	}
}

func TestAfterAResetTheDetectorIsAsNew(t *testing.T) {
	d := mustNew(t, Config{Rate: 16000, HangOver: time.Second})
	d.Hear(voice(t))
	d.Reset()
	if want := mustNew(t, Config{Rate: 16000, HangOver: time.Second}); *d != *want {
		t.Errorf("after a reset it is %+v, want %+v", *d, *want)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"rate":      {Rate: 4000},
		"96000 Hz":  {Rate: 96000},
		"hang-over": {HangOver: time.Millisecond},
		"1m0s":      {HangOver: time.Minute},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives the error %v, want one with %q", cfg, err, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	d := mustNew(t, Config{})
	frame := voice(t)[:160]
	if n := testing.AllocsPerRun(100, func() { d.Hear(frame) }); n != 0 {
		t.Errorf("a frame costs %v allocations, want 0", n)
	}
}

func Benchmark20ms(b *testing.B) {
	d := mustNew(b, Config{})
	frame := sound.Speech8k(b)[8000:8160]
	b.ReportAllocs()
	for b.Loop() {
		d.Hear(frame)
	}
}
