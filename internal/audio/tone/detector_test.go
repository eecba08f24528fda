package tone

import (
	"math"
	"math/rand/v2"
	"testing"

	"phonesocket/internal/audio/resample"
	"phonesocket/internal/audio/sample"
	"phonesocket/internal/test/sound"
)

// press is one digit on a line of the test.
type press struct {
	digit     byte
	low, high float64 // levels of the tones, peaks of 16-bit samples
	offLow    float64 // share by which the frequencies are wrong
	offHigh   float64
	ms        int     // how long it sounds
	snr       float64 // dB; 0 is a line without noise
	start     int     // samples of silence before
}

func normal(digit byte) press { return press{digit: digit, low: 6000, high: 6000, ms: 60} }

// sound renders the press with 100 ms of pause after it.
func (p press) sound(seed uint64) []int16 {
	rng := rand.New(rand.NewPCG(seed, 4733))
	s := make([]int16, p.start+8*p.ms+800)
	row, column := place(p.digit)
	noise := 0.0
	if p.snr > 0 {
		noise = math.Sqrt((p.low*p.low+p.high*p.high)/2) / math.Pow(10, p.snr/20)
	}
	phase := rng.Float64() * 6
	for i := range s {
		v := noise * rng.NormFloat64()
		if at := float64(i - p.start); at >= 0 && i < p.start+8*p.ms {
			v += p.low*math.Sin(2*math.Pi*lows[row]*(1+p.offLow)*at/8000+phase) +
				p.high*math.Sin(2*math.Pi*highs[column]*(1+p.offHigh)*at/8000)
		}
		s[i] = int16(min(max(math.Round(v), -32768), 32767))
	}
	return s
}

func place(digit byte) (row, column int) {
	for i := range keys {
		if keys[i] == digit {
			return i / 4, i % 4
		}
	}
	panic("no digit")
}

func detect(s []int16) string {
	var d Detector
	return string(d.Detect(nil, s))
}

// count presses every digit at many offsets of the blocks, and counts how often it is heard.
func count(change func(*press)) (heard, wrong, all int) {
	for i := range keys {
		for start := 0; start < block; start += 8 {
			p := normal(keys[i])
			p.start = start
			change(&p)
			all++
			switch detect(p.sound(uint64(1000*i + start))) {
			case string(keys[i]):
				heard++
			case "":
			default:
				wrong++
			}
		}
	}
	return heard, wrong, all
}

func TestDigitsAreHeardOnLinesAsTheyAre(t *testing.T) {
	for name, change := range map[string]func(*press){
		"60 ms without noise":                      func(*press) {},
		"40 ms":                                    func(p *press) { p.ms = 40 },
		"2 s long":                                 func(p *press) { p.ms = 2000 },
		"quiet, -33 dBov each":                     func(p *press) { p.low, p.high = 1000, 1000 },
		"as loud as can be":                        func(p *press) { p.low, p.high = 16383, 16383 },
		"30 dB above noise":                        func(p *press) { p.snr = 30 },
		"20 dB above noise":                        func(p *press) { p.snr = 20 },
		"15 dB above noise":                        func(p *press) { p.snr = 15 },
		"10 dB above noise":                        func(p *press) { p.snr = 10 },
		"low tone 4 dB louder":                     func(p *press) { p.low *= 1.585 },
		"low tone 6 dB louder":                     func(p *press) { p.low *= 1.995 },
		"high tone 6 dB louder":                    func(p *press) { p.high *= 1.995 },
		"both 1.5 % higher":                        func(p *press) { p.offLow, p.offHigh = 0.015, 0.015 },
		"both 1.5 % lower":                         func(p *press) { p.offLow, p.offHigh = -0.015, -0.015 },
		"apart by 1.5 % each":                      func(p *press) { p.offLow, p.offHigh = -0.015, 0.015 },
		"1.5 % higher, 20 dB above noise":          func(p *press) { p.offLow, p.offHigh, p.snr = 0.015, 0.015, 20 },
		"high tone 6 dB louder, 15 dB above noise": func(p *press) { p.high, p.snr = 1.995*p.high, 15 },
	} {
		t.Run(name, func(t *testing.T) {
			if heard, wrong, all := count(change); heard != all {
				t.Errorf("of %d digits %d are heard and %d are heard wrongly, want all heard", all, heard, wrong)
			}
		})
	}
}

func TestWhatIsNoDigitIsNotHeard(t *testing.T) {
	for name, change := range map[string]func(*press){
		"15 ms":                          func(p *press) { p.ms = 15 },
		"too quiet":                      func(p *press) { p.low, p.high = 60, 60 },
		"only the low tone":              func(p *press) { p.high = 0 },
		"only the high tone":             func(p *press) { p.low = 0 },
		"low tone 10 dB louder":          func(p *press) { p.high *= 0.3 },
		"high tone 10 dB louder":         func(p *press) { p.low *= 0.3 },
		"both 3.5 % higher":              func(p *press) { p.offLow, p.offHigh = 0.035, 0.035 },
		"both 3.5 % lower":               func(p *press) { p.offLow, p.offHigh = -0.035, -0.035 },
		"apart by 3.5 % each":            func(p *press) { p.offLow, p.offHigh = -0.035, 0.035 },
		"low tone 3.5 % higher":          func(p *press) { p.offLow = 0.035 },
		"low tone 3.5 % lower":           func(p *press) { p.offLow = -0.035 },
		"both 3.5 % higher, long, noise": func(p *press) { p.offLow, p.offHigh, p.ms, p.snr = 0.035, 0.035, 500, 20 },
		"in noise as loud":               func(p *press) { p.snr = 0.01 },
	} {
		t.Run(name, func(t *testing.T) {
			if heard, wrong, all := count(change); heard+wrong > 0 {
				t.Errorf("of %d digits %d are heard and %d heard wrongly, want none", all, heard, wrong)
			}
		})
	}
}

func TestADigitCountsOnceAndItsRepetitionAgain(t *testing.T) {
	var s []int16
	for _, gap := range []int{40, 100} {
		for _, digit := range []byte("5577#") {
			p := normal(digit)
			p.ms = 40 + gap
			s = append(s, p.sound(1)[:8*(p.ms+gap)]...)
		}
	}
	if got := detect(s); got != "5577#5577#" {
		t.Errorf("heard %q, want 5577# twice", got)
	}
}

func TestAHoleInADigitDoesNotDoubleIt(t *testing.T) {
	p := normal('8')
	p.ms = 300
	for at := 800; at < 900; at += 7 {
		s := p.sound(2)
		clear(s[at : at+80]) // 10 ms
		if got := detect(s); got != "8" {
			t.Errorf("with a hole after %d samples %q is heard, want 8 once", at, got)
		}
	}
}

func TestTheDigitSoundsUntilItEnds(t *testing.T) {
	var d Detector
	p := normal('D')
	p.ms = 200
	s := p.sound(3)
	d.Detect(nil, s[:1600])
	if got := d.Sounding(); got != 'D' {
		t.Errorf("at the end of the tone %q sounds, want D", got)
	}
	d.Detect(nil, s[1600:1600+4*block])
	if got := d.Sounding(); got != 0 {
		t.Errorf("51 ms after the tone %q sounds, want nothing", got)
	}
}

// speech returns all recordings at 8 kHz.
func speech(t *testing.T) [][]int16 {
	t.Helper()
	phrase, _ := sample.Phrase()
	all := [][]int16{sound.Speech8k(t), phrase}
	caller, _ := sample.Speech()
	for _, wide := range [][]int16{caller, sound.Speech16k(t)} {
		r, err := resample.New(16000, 8000)
		if err != nil {
			t.Fatal(err)
		}
		narrow := make([]int16, r.MaxOut(len(wide)))
		all = append(all, narrow[:r.Process(narrow, wide)])
	}
	return all
}

func TestInMinutesOfSpeechThereIsNoDigit(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 7))
	minutes := 0.0
	var d Detector
	for _, voice := range speech(t) {
		for range 60 {
			// Other people: at another pitch and speed, volume, and noise.
			speed, gain, noise := 0.6+rng.Float64(), 0.1+1.9*rng.Float64(), 300*rng.Float64()
			other := make([]int16, int(float64(len(voice)-1)/speed))
			for i := range other {
				at := float64(i) * speed
				a, b := float64(voice[int(at)]), float64(voice[int(at)+1])
				v := gain*(a+(b-a)*(at-math.Floor(at))) + noise*rng.NormFloat64()
				other[i] = int16(min(max(v, -32768), 32767))
			}
			minutes += float64(len(other)) / 8000 / 60
			if got := d.Detect(nil, other); len(got) > 0 {
				t.Errorf("in speech %.2f times as fast the digits %q are heard", speed, got)
			}
		}
	}
	if minutes < 10 {
		t.Errorf("these were only %.1f minutes", minutes)
	}
}

func TestInNoiseAndTonesThereIsNoDigit(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 7))
	noise := make([]int16, 8000*120)
	for i := range noise {
		noise[i] = int16(5000 * rng.NormFloat64() / 2)
	}
	if got := detect(noise); got != "" {
		t.Errorf("in two minutes of noise %q is heard", got)
	}
	// The tones of exchanges: dial tone, ringing and busy here and there.
	for _, pair := range [][2]float64{{425, 425}, {350, 440}, {440, 480}, {480, 620}, {400, 450}, {950, 1400}, {1400, 1800}, {1100, 2100}} {
		s := make([]int16, 16000)
		for i := range s {
			s[i] = int16(6000 * (math.Sin(2*math.Pi*pair[0]*float64(i)/8000) + math.Sin(2*math.Pi*pair[1]*float64(i)/8000)))
		}
		if got := detect(s); got != "" {
			t.Errorf("in %v Hz the digits %q are heard", pair, got)
		}
	}
}

func TestTheResultDoesNotDependOnTheChunks(t *testing.T) {
	var s []int16
	for i := range keys {
		s = append(s, normal(keys[i]).sound(uint64(i))...)
	}
	for _, size := range []int{1, 7, 102, 160, 4000} {
		var d Detector
		var got []byte
		for rest := s; len(rest) > 0; {
			n := min(size, len(rest))
			got = d.Detect(got, rest[:n])
			rest = rest[n:]
		}
		if string(got) != keys {
			t.Errorf("in chunks of %d samples %q is heard, want %q", size, got, keys)
		}
	}
}

func TestAfterAResetNothingIsLeft(t *testing.T) {
	var d Detector
	s := normal('1').sound(1)
	d.Detect(nil, s[:333])
	d.Reset()
	if d != (Detector{}) {
		t.Errorf("left is %+v", d)
	}
	if got := string(d.Detect(nil, s)); got != "1" {
		t.Errorf("after a reset %q is heard, want 1", got)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var d Detector
	g := mustNew(t, Config{})
	if err := g.Play("0123456789*#ABCD"); err != nil {
		t.Fatal(err)
	}
	frame, digits := make([]int16, 160), make([]byte, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		g.Read(frame)
		d.Detect(digits, frame)
	}); n != 0 {
		t.Errorf("a frame costs %v allocations, want 0", n)
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte{1, 2, 3}, 1)
	f.Add(make([]byte, 1000), 160)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		s := make([]int16, len(data)/2)
		for i := range s {
			s[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		want := detect(s)
		var d Detector
		var got []byte
		for rest := s; len(rest) > 0; {
			n := min(1+size&0xFFF, len(rest))
			got = d.Detect(got, rest[:n])
			rest = rest[n:]
		}
		if string(got) != want {
			t.Errorf("in chunks %q is heard, in one piece %q", got, want)
		}
		for _, digit := range got {
			if !Valid(digit) {
				t.Errorf("%q is heard, which is no digit", digit)
			}
		}
		if len(got) > len(s)/200 {
			t.Errorf("%d digits are heard in %d samples", len(got), len(s))
		}
	})
}

func Benchmark20ms(b *testing.B) {
	frame := sound.Speech8k(b)[8000:8160]
	b.Run("detect", func(b *testing.B) {
		var d Detector
		b.ReportAllocs()
		for b.Loop() {
			d.Detect(nil, frame)
		}
	})
	b.Run("generate", func(b *testing.B) {
		g := mustNew(b, Config{})
		for b.Loop() {
			if !g.Playing() {
				if err := g.Play("5"); err != nil {
					b.Fatal(err)
				}
			}
			g.Read(frame)
		}
	})
}
