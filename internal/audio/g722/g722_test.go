package g722

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"phonesocket/internal/test/sound"
)

// delay is by how many samples the two filters together are late.
const delay = filterLen - 2

func encode(src []int16) []byte {
	var e Encoder
	dst := make([]byte, (len(src)+1)/2)
	return dst[:e.Encode(dst, src)]
}

func decode(src []byte) []int16 {
	var d Decoder
	dst := make([]int16, 2*len(src))
	return dst[:d.Decode(dst, src)]
}

// snr is how far the rest is below the sound, in dB, after the delay of the codec.
func snr(sent, got []int16) float64 {
	var signal, rest float64
	for i, v := range sent[:len(sent)-delay] {
		e := float64(got[i+delay]) - float64(v)
		signal += float64(v) * float64(v)
		rest += e * e
	}
	return 10 * math.Log10(signal/rest)
}

func TestSpeechComesBackWithLittleNoise(t *testing.T) {
	speech := sound.Speech16k(t)
	got := decode(encode(speech))
	if r := snr(speech, got); r < 20 {
		t.Errorf("the noise is %.1f dB below the speech, want at least 20", r)
	}
	if r := sound.Arrived(t, speech, got, 16000); r.FullBand < 0.99 || r.DelaySamples != delay {
		t.Errorf("the correlation up to 8 kHz is %.4f and the delay %d samples, want at least 0.99 and %d", r.FullBand, r.DelaySamples, delay)
	}
}

func TestTheOutputDoesNotDependOnTheChunks(t *testing.T) {
	speech := sound.Speech16k(t)[8000:24001]
	encoded := encode(speech)
	decoded := decode(encoded)
	rng := rand.New(rand.NewPCG(3, 4))
	for name, size := range map[string]func() int{
		"one":               func() int { return 1 },
		"seven":             func() int { return 7 },
		"20 ms":             func() int { return 320 },
		"odd, over a chunk": func() int { return 1001 },
		"anything":          func() int { return rng.IntN(2000) },
	} {
		var e Encoder
		var d Decoder
		var bytesOut []byte
		var samplesOut []int16
		for rest := speech; len(rest) > 0; {
			n := min(size(), len(rest))
			dst := make([]byte, (n+1)/2)
			bytesOut = append(bytesOut, dst[:e.Encode(dst, rest[:n])]...)
			rest = rest[n:]
		}
		for rest := encoded; len(rest) > 0; {
			n := min(size(), len(rest))
			dst := make([]int16, 2*n)
			samplesOut = append(samplesOut, dst[:d.Decode(dst, rest[:n])]...)
			rest = rest[n:]
		}
		if !bytes.Equal(bytesOut, encoded) {
			t.Errorf("chunks of %s give other bytes", name)
		}
		if !slices.Equal(samplesOut, decoded) {
			t.Errorf("chunks of %s give other samples", name)
		}
	}
}

func TestAnOddSampleWaitsForTheNext(t *testing.T) {
	var e Encoder
	var dst [2]byte
	if n := e.Encode(dst[:], []int16{1}); n != 0 {
		t.Errorf("one sample gives %d bytes, want 0", n)
	}
	if n := e.Encode(dst[:], nil); n != 0 {
		t.Errorf("no sample gives %d bytes, want 0", n)
	}
	if n := e.Encode(dst[:], []int16{2, 3}); n != 1 {
		t.Errorf("two more give %d bytes, want 1", n)
	}
	if n := e.Encode(dst[:], []int16{4}); n != 1 {
		t.Errorf("the fourth gives %d bytes, want 1", n)
	}
}

func TestOverloadClipsAndNeverWraps(t *testing.T) {
	// 100 Hz at full scale: in the middle of a half wave nothing but its sign can come out.
	square := make([]int16, 16000)
	for i := range square {
		square[i] = math.MaxInt16
		if i/80%2 == 1 {
			square[i] = math.MinInt16
		}
	}
	got := decode(encode(square))
	for i := 800; i < len(got)-delay; i++ {
		if at := i % 80; at >= 20 && at < 60 && (got[i+delay] < 0) != (square[i] < 0) {
			t.Fatalf("sample %d is %d, sent was %d", i, got[i+delay], square[i])
		}
	}
	if slices.Max(got) != math.MaxInt16 || slices.Min(got) != math.MinInt16 {
		t.Errorf("a square wave at full scale comes out between %d and %d", slices.Min(got), slices.Max(got))
	}
}

func TestSilenceStaysSilent(t *testing.T) {
	for i, v := range decode(encode(make([]int16, 16000))) {
		if v < -8 || v > 8 {
			t.Fatalf("sample %d of silence is %d", i, v)
		}
	}
}

func TestAfterLostBytesTheDecoderFindsTheSpeechAgain(t *testing.T) {
	speech := sound.Speech16k(t)
	encoded := encode(speech)
	want := decode(encoded)
	const from, to = 16000, 16160 // bytes: the 20 ms from second 2 on are lost
	got := decode(append(append([]byte{}, encoded[:from]...), encoded[to:]...))
	const settled = 2*to + 1600 // 0.1 s later
	var signal, rest float64
	for i := settled; i < len(want); i++ {
		e := float64(want[i]) - float64(got[i-2*(to-from)])
		signal += float64(want[i]) * float64(want[i])
		rest += e * e
	}
	if r := 10 * math.Log10(signal/rest); r < 40 {
		t.Errorf("0.1 s after a loss, the difference is %.1f dB below the speech, want at least 40", r)
	}
}

func TestAfterAResetBothSidesAreAsNew(t *testing.T) {
	speech := sound.Speech16k(t)[8000:16000]
	encoded := encode(speech)
	decoded := decode(encoded)
	var e Encoder
	var d Decoder
	again, heard := make([]byte, len(encoded)), make([]int16, len(decoded))
	e.Encode(again, speech[:4001])
	d.Decode(heard, encoded[:2001])
	e.Reset()
	d.Reset()
	if n := e.Encode(again, speech); !bytes.Equal(again[:n], encoded) {
		t.Error("the bytes after a reset differ")
	}
	if n := d.Decode(heard, encoded); !slices.Equal(heard[:n], decoded) {
		t.Error("the samples after a reset differ")
	}
}

func TestALongDestinationKeepsItsRest(t *testing.T) {
	var e Encoder
	var d Decoder
	codes := []byte{1, 2, 3}
	if n := e.Encode(codes, []int16{5, 6}); n != 1 || codes[1] != 2 || codes[2] != 3 {
		t.Errorf("two samples give %d bytes and leave %v", n, codes)
	}
	samples := []int16{1, 2, 3}
	if n := d.Decode(samples, codes[:1]); n != 2 || samples[2] != 3 {
		t.Errorf("a byte gives %d samples and leaves %v", n, samples)
	}
}

func TestTheQuantisersEqualTheirDefinition(t *testing.T) {
	for scale := int32(32); scale <= 32064; scale += 4 * 97 {
		for deviation := int32(-32768); deviation <= 32767; deviation += 11 {
			size := deviation
			if size < 0 {
				size = -deviation - 1
			}
			i := 0
			for i < 29 && size >= bounds[i+1]*scale>>12 {
				i++
			}
			want, wantHigh := 61-i, 3
			if deviation < 0 {
				want, wantHigh = 33-i, 1
				if i < 2 {
					want = 63 - i
				}
			}
			if size >= boundHigh*scale>>12 {
				wantHigh--
			}
			if got := quantiseLow(deviation, scale); got != int32(want) {
				t.Fatalf("deviation %d at scale %d has the code %d in the low band, want %d", deviation, scale, got, want)
			}
			if got := quantiseHigh(deviation, scale); got != int32(wantHigh) {
				t.Fatalf("deviation %d at scale %d has the code %d in the high band, want %d", deviation, scale, got, wantHigh)
			}
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var e Encoder
	var d Decoder
	samples, codes := make([]int16, 321), make([]byte, 161)
	if n := testing.AllocsPerRun(100, func() { d.Decode(samples, codes[:e.Encode(codes, samples[:320])]) }); n != 0 {
		t.Errorf("a frame costs %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { e.Encode(codes, samples) }); n != 0 {
		t.Errorf("an odd frame costs %v allocations, want 0", n)
	}
}

// FuzzBothSides feeds bytes to the decoder, and as samples to the encoder, and watches that every number of the
// predictors keeps within its bounds.
func FuzzBothSides(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add(bytes.Repeat([]byte{0x04, 0x20}, 400))
	f.Add(bytes.Repeat([]byte{0xFF, 0x7F, 0x00, 0x80}, 400))
	f.Add(encode(make([]int16, 321)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Encoder
		var d Decoder
		heard := make([]int16, 2*len(data))
		if n := d.Decode(heard, data); n != len(heard) {
			t.Fatalf("%d bytes give %d samples", len(data), n)
		}
		said := make([]int16, len(data)/2)
		for i := range said {
			said[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		codes := make([]byte, (len(said)+1)/2)
		if n := e.Encode(codes, said); n != len(said)/2 {
			t.Fatalf("%d samples give %d bytes", len(said), n)
		}
		for _, b := range []*band{&d.low, &d.high, &e.low, &e.high} {
			inBounds(t, b)
		}
	})
}

func inBounds(t *testing.T, b *band) {
	t.Helper()
	if b.logScale < 0 || b.logScale > maxLogHigh {
		t.Errorf("the logarithm of the scale is %d", b.logScale)
	}
	numbers := slices.Concat([]int32{b.prediction, b.fromSteps}, b.values[:], b.partial[:], b.poles[:], b.steps[:], b.zeros[:])
	for _, v := range numbers {
		if v != saturate(v) {
			t.Errorf("%d has more than 16 bits: %+v", v, *b)
		}
	}
	if b.poles[1] < -12288 || b.poles[1] > 12288 || b.poles[0] > 15360-b.poles[1] || -b.poles[0] > 15360-b.poles[1] {
		t.Errorf("the poles %v are not stable", b.poles)
	}
}

func Benchmark20ms(b *testing.B) {
	// Frame after frame of five seconds: a single frame again and again would teach the branch predictor its bits.
	speech := sound.Speech16k(b)
	speech = speech[:len(speech)/320*320]
	encoded := encode(speech)
	b.Run("encode", func(b *testing.B) {
		var e Encoder
		dst, at := make([]byte, 160), 0
		b.ReportAllocs()
		for b.Loop() {
			e.Encode(dst, speech[at:at+320])
			at = (at + 320) % len(speech)
		}
	})
	b.Run("decode", func(b *testing.B) {
		var d Decoder
		dst, at := make([]int16, 320), 0
		b.ReportAllocs()
		for b.Loop() {
			d.Decode(dst, encoded[at:at+160])
			at = (at + 160) % len(encoded)
		}
	})
}
