package conceal

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"testing"

	"phonesocket/internal/audio/resample"
	"phonesocket/internal/audio/sample"
	"phonesocket/internal/test/sound"
)

// network says which frames of 20 ms are lost.
type network struct {
	name  string
	begin float64 // the probability that a loss begins
	stay  float64 // the probability that the next frame is lost, too
}

func networks() []network {
	return []network{
		{"3 % loss", 0.03, 0.03},
		{"10 % loss", 0.10, 0.10},
		{"20 % loss", 0.20, 0.20},
		{"20 % loss in bursts", 0.10, 0.60},
	}
}

// losses returns for each frame whether it is lost.
func (n network) losses(frames int, seed uint64) []bool {
	rng := rand.New(rand.NewPCG(seed, 711))
	lost := make([]bool, frames)
	for i := 5; i < frames; i++ {
		p := n.begin
		if lost[i-1] {
			p = n.stay
		}
		lost[i] = rng.Float64() < p
	}
	return lost
}

// filler is a way to conceal.
type filler interface {
	Good(samples []int16)
	Fill(dst []int16)
}

// repeater plays the last frame again: what everybody does who does nothing else.
type repeater struct{ last []int16 }

func (r *repeater) Good(samples []int16) { r.last = append(r.last[:0], samples...) }
func (r *repeater) Fill(dst []int16)     { copy(dst, r.last) }

// silencer plays nothing.
type silencer struct{}

func (silencer) Good([]int16)     {}
func (silencer) Fill(dst []int16) { clear(dst) }

// send returns the speech as it is heard.
func send(f filler, speech []int16, rate int, lost []bool) []int16 {
	heard := append([]int16(nil), speech[:len(lost)*rate/50]...)
	for i, l := range lost {
		frame := heard[i*rate/50 : (i+1)*rate/50]
		if l {
			f.Fill(frame)
		} else {
			f.Good(frame)
		}
	}
	return heard
}

// figures are the quality of what was filled in.
type figures struct {
	snr      float64 // segmental, in dB
	distance float64 // of the logarithmic spectra, in dB
}

func (f figures) String() string { return fmt.Sprintf("%.2f/%.2f dB", f.snr, f.distance) }

// judge compares all lost frames in which there was speech. The ratio of each is bounded to −10 to 35 dB, as usual.
func judge(speech, heard []int16, rate int, lost []bool) (sum figures, frames int) {
	n := rate / 50
	for i, l := range lost {
		window := 32 * rate / 1000
		from := i*n + n/2 - window/2
		if !l || from < 0 || from+window > len(heard) {
			continue
		}
		signal, rest := 1e-9, 1e-9
		for j := i * n; j < (i+1)*n; j++ {
			e := float64(heard[j]) - float64(speech[j])
			signal += float64(speech[j]) * float64(speech[j])
			rest += e * e
		}
		if math.Sqrt(signal/float64(n)) < 700 { // −33 dBov
			continue
		}
		sum.snr += min(max(10*math.Log10(signal/rest), -10), 35)
		sum.distance += distance(speech[from:from+window], heard[from:from+window], rate)
		frames++
	}
	return sum, frames
}

// bands is the number of bands in which spectra are compared, each as wide as an ear hears it.
const bands = 18

// distance is the effective difference of two spectra in dB; what is 30 dB below the loudest band of the first is not
// looked at.
func distance(a, b []int16, rate int) float64 {
	x, y := spectrum(a, rate), spectrum(b, rate)
	floor := max(slices.Max(x)*1e-3, 1e4)
	sum := 0.0
	for i := range x {
		d := 10 * math.Log10(max(x[i], floor)/max(y[i], floor))
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(x)))
}

// spectrum returns the power in the bands, which are those of Bark (by Traunmüller's formula), from 100 Hz to the end of
// what a telephone carries.
func spectrum(s []int16, rate int) []float64 {
	x := make([]complex128, len(s))
	for i, v := range s {
		x[i] = complex((0.5-0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(s))))*float64(v), 0)
	}
	x = fourier(x, roots(len(x)), 1)
	bark := func(hz float64) float64 { return 26.81*hz/(1960+hz) - 0.53 }
	low, high := bark(100), bark(0.425*float64(rate))
	power := make([]float64, bands)
	for k := range len(x) / 2 {
		b := (bark(float64(k*rate)/float64(len(x))) - low) / (high - low) * bands
		if b >= 0 && b < bands {
			power[int(b)] += real(x[k])*real(x[k]) + imag(x[k])*imag(x[k])
		}
	}
	return power
}

// fourier is the transform of x, whose length is a power of two, with the roots of unity of that length; stride is 1.
func fourier(x, roots []complex128, stride int) []complex128 {
	n := len(roots) / stride
	if n == 1 {
		return x[:1]
	}
	even, odd := fourier(x, roots, 2*stride), fourier(x[stride:], roots, 2*stride)
	y := make([]complex128, n)
	for i := range even {
		t := odd[i] * roots[i*stride]
		y[i], y[i+n/2] = even[i]+t, even[i]-t
	}
	return y
}

func roots(n int) []complex128 {
	w := make([]complex128, n)
	for i := range w {
		w[i] = cmplx.Rect(1, -2*math.Pi*float64(i)/float64(n))
	}
	return w
}

// voices are the recordings at a rate.
func voices(t *testing.T, rate int) [][]int16 {
	t.Helper()
	if rate == 16000 {
		speech, _ := sample.Speech()
		return [][]int16{sound.Speech16k(t), speech}
	}
	phrase, _ := sample.Phrase()
	all := [][]int16{sound.Speech8k(t), phrase}
	for _, wide := range voices(t, 16000) {
		r, err := resample.New(16000, 8000)
		if err != nil {
			t.Fatal(err)
		}
		narrow := make([]int16, r.MaxOut(len(wide)))
		all = append(all, narrow[:r.Process(narrow, wide)])
	}
	return all
}

// measure is the mean over all voices and some seeds.
func measure(t *testing.T, n network, rate int, start func() filler) figures {
	t.Helper()
	var sum figures
	frames := 0
	for i, speech := range voices(t, rate) {
		for seed := range uint64(8) {
			lost := n.losses(len(speech)*50/rate, 100*seed+uint64(i))
			s, f := judge(speech, send(start(), speech, rate, lost), rate, lost)
			sum.snr, sum.distance, frames = sum.snr+s.snr, sum.distance+s.distance, frames+f
		}
	}
	return figures{sum.snr / float64(frames), sum.distance / float64(frames)}
}

func TestFiguresOfConcealedSpeech(t *testing.T) {
	// The ratios are the goals for this concealer; those of the spectra are golden. Repetition is 3.3 dB worse at least.
	type goal struct{ narrow, wide figures }
	goals := map[string]goal{
		"3 % loss":            {figures{1.46, 6.75}, figures{1.46, 5.65}},
		"10 % loss":           {figures{1.11, 6.45}, figures{1.11, 6.05}},
		"20 % loss":           {figures{1.11, 6.75}, figures{1.11, 6.90}},
		"20 % loss in bursts": {figures{0.43, 10.00}, figures{0.43, 9.90}},
	}
	for _, n := range networks() {
		for rate, want := range map[int]figures{8000: goals[n.name].narrow, 16000: goals[n.name].wide} {
			t.Run(fmt.Sprintf("%s at %d Hz", n.name, rate), func(t *testing.T) {
				got := measure(t, n, rate, func() filler { return mustNew(t, rate) })
				repeated := measure(t, n, rate, func() filler { return &repeater{} })
				silent := measure(t, n, rate, func() filler { return silencer{} })
				t.Logf("concealed %v, repeated %v, silent %v", got, repeated, silent)
				if got.snr < want.snr || got.distance > want.distance {
					t.Errorf("the figures are %v, want at least the first and at most the second of %v", got, want)
				}
				if got.snr < repeated.snr+3.3 {
					t.Errorf("the segmental ratio is %.2f dB, repeated frames have %.2f", got.snr, repeated.snr)
				}
				if got.distance > silent.distance-3 {
					t.Errorf("the spectra differ by %.2f dB, those of silence by %.2f", got.distance, silent.distance)
				}
			})
		}
	}
}
