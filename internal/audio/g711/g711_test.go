package g711

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// law is one of the two codecs with everything that is said about it.
type law struct {
	name        string
	vectors     string
	decode      func(dst []int16, src []byte)
	encode      func(dst []byte, src []int16)
	compress    func(int16) byte
	silence     byte
	quietest    int16 // decoded silence
	clip        int16 // the loudest decoded value
	toOther     func(dst, src []byte)
	otherEncode func(dst []byte, src []int16)
}

func laws() []law {
	return []law{
		{
			name: "µ-law", vectors: "testdata/ulaw.txt", decode: DecodeULaw, encode: EncodeULaw, compress: compressULaw,
			silence: SilenceULaw, quietest: 0, clip: 32124, toOther: ULawToALaw, otherEncode: EncodeALaw,
		},
		{
			name: "A-law", vectors: "testdata/alaw.txt", decode: DecodeALaw, encode: EncodeALaw, compress: compressALaw,
			silence: SilenceALaw, quietest: 8, clip: 32256, toOther: ALawToULaw, otherEncode: EncodeULaw,
		},
	}
}

func forEachLaw(t *testing.T, test func(t *testing.T, l law)) {
	t.Helper()
	for _, l := range laws() {
		t.Run(l.name, func(t *testing.T) { test(t, l) })
	}
}

// vector is one line of a file in testdata.
type vector struct {
	decoded, lowest, highest int16
}

func readVectors(t *testing.T, path string) [256]vector {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var vectors [256]vector
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		var code byte
		var v vector
		if _, err := fmt.Sscanf(s.Text(), "%X %d %d %d", &code, &v.decoded, &v.lowest, &v.highest); err != nil {
			t.Fatalf("%s, line %d: %v", path, lines+1, err)
		}
		vectors[code] = v
	}
	if lines != 256 {
		t.Fatalf("%s has %d lines, want 256", path, lines)
	}
	return vectors
}

func allCodes() []byte {
	codes := make([]byte, 256)
	for i := range codes {
		codes[i] = byte(i)
	}
	return codes
}

func allSamples() []int16 {
	samples := make([]int16, 1<<16)
	for i := range samples {
		samples[i] = int16(i - 1<<15)
	}
	return samples
}

func TestEveryCodeDecodesAsInTheVectors(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		vectors := readVectors(t, l.vectors)
		got := make([]int16, 256)
		l.decode(got, allCodes())
		for code, v := range vectors {
			if got[code] != v.decoded {
				t.Errorf("code %02X decodes to %d, want %d", code, got[code], v.decoded)
			}
		}
	})
}

func TestEveryInputEncodesAsInTheVectors(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		vectors := readVectors(t, l.vectors)
		covered := 0
		for code, v := range vectors {
			for x := int(v.lowest); x <= int(v.highest); x++ {
				covered++
				var got [1]byte
				l.encode(got[:], []int16{int16(x)})
				if int(got[0]) != code {
					t.Errorf("%d encodes to %02X, want %02X", x, got[0], code)
				}
			}
		}
		if covered != 1<<16 {
			t.Errorf("the vectors cover %d inputs, want all 65536", covered)
		}
	})
}

func TestTheTableEqualsTheDefinitionForEveryInput(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples := allSamples()
		got := make([]byte, len(samples))
		l.encode(got, samples)
		for i, x := range samples {
			if want := l.compress(x); got[i] != want {
				t.Fatalf("%d encodes to %02X, want %02X", x, got[i], want)
			}
		}
	})
}

func TestEveryCodeSurvivesDecodingAndEncoding(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples, again := make([]int16, 256), make([]byte, 256)
		l.decode(samples, allCodes())
		l.encode(again, samples)
		for code, got := range again {
			want := byte(code)
			if l.name == "µ-law" && code == 0x7F {
				want = SilenceULaw // the only value with two codes: linear samples have no negative zero
			}
			if got != want {
				t.Errorf("code %02X comes back as %02X, want %02X", code, got, want)
			}
		}
	})
}

func TestEncodingNeverFallsAsTheInputRises(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples := allSamples()
		codes, decoded := make([]byte, len(samples)), make([]int16, len(samples))
		l.encode(codes, samples)
		l.decode(decoded, codes)
		for i := 1; i < len(decoded); i++ {
			if decoded[i] < decoded[i-1] {
				t.Fatalf("%d becomes %d but %d becomes %d", samples[i-1], decoded[i-1], samples[i], decoded[i])
			}
		}
		if got := decoded[0]; got != -l.clip {
			t.Errorf("-32768 becomes %d, want %d", got, -l.clip)
		}
		if got := decoded[len(decoded)-1]; got != l.clip {
			t.Errorf("32767 becomes %d, want %d", got, l.clip)
		}
	})
}

func TestSilenceIsThePositiveZero(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		var code [1]byte
		l.encode(code[:], []int16{0})
		if code[0] != l.silence {
			t.Errorf("0 encodes to %02X, want %02X", code[0], l.silence)
		}
		var value [1]int16
		l.decode(value[:], []byte{l.silence})
		if value[0] != l.quietest {
			t.Errorf("silence decodes to %d, want %d", value[0], l.quietest)
		}
	})
}

func TestTheDirectWayToTheOtherLawEqualsTheWayOverLinearSamples(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples, want, got := make([]int16, 256), make([]byte, 256), make([]byte, 256)
		l.decode(samples, allCodes())
		l.otherEncode(want, samples)
		l.toOther(got, allCodes())
		for code := range want {
			if got[code] != want[code] {
				t.Errorf("code %02X becomes %02X, want %02X", code, got[code], want[code])
			}
		}
		inPlace := allCodes()
		l.toOther(inPlace, inPlace)
		if string(inPlace) != string(got) {
			t.Error("the conversion in place differs from the one into another slice")
		}
	})
}

func TestALongDestinationKeepsItsRest(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples := []int16{1, 2, 3}
		l.decode(samples, []byte{l.silence})
		if samples[1] != 2 || samples[2] != 3 {
			t.Errorf("decoding one byte changed the samples after it: %v", samples)
		}
		codes := []byte{1, 2, 3}
		l.encode(codes, []int16{0})
		if codes[1] != 2 || codes[2] != 3 {
			t.Errorf("encoding one sample changed the bytes after it: %v", codes)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	forEachLaw(t, func(t *testing.T, l law) {
		samples, codes := make([]int16, 160), make([]byte, 160)
		if n := testing.AllocsPerRun(100, func() {
			l.encode(codes, samples)
			l.decode(samples, codes)
			l.toOther(codes, codes)
		}); n != 0 {
			t.Errorf("a frame costs %v allocations, want 0", n)
		}
	})
}

func Benchmark20ms(b *testing.B) {
	for _, l := range laws() {
		samples, codes := make([]int16, 160), make([]byte, 160)
		b.Run("encode "+l.name, func(b *testing.B) {
			for b.Loop() {
				l.encode(codes, samples)
			}
		})
		b.Run("decode "+l.name, func(b *testing.B) {
			for b.Loop() {
				l.decode(samples, codes)
			}
		})
	}
}
