package g722

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"phonesocket/internal/test/sound"
)

var update = flag.Bool("update", false, "make the vectors anew with ffmpeg")

// head is how much of a decoded vector is stored; of the rest there is the sum.
const head = 1024

// vector is one second of sound, or of bytes, and what ffmpeg makes of it.
type vector struct {
	name    string
	samples []int16 // nil: the bytes have no sound behind them
	encoded []byte
	decoded []byte // its beginning, little endian
	sum     string // of all that is decoded, SHA-256
}

// sources are the sounds of the vectors, made with whole numbers only so that they are the same on every machine.
func sources(t *testing.T) []vector {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 22))
	noise, sweep, square := make([]int16, 16000), make([]int16, 16000), make([]int16, 16000)
	phase := int32(0)
	for i := range noise {
		noise[i] = int16(rng.IntN(1<<16) - 1<<15)
		// From 0 to 8 kHz; a parabola for each half wave is near enough to a sine.
		phase = (phase + int32(i)*2) & 0xFFFF
		x := phase & 0x7FFF
		sweep[i] = int16(x * (0x8000 - x) >> 13 * 30000 >> 15)
		if phase >= 0x8000 {
			sweep[i] = -sweep[i]
		}
		square[i] = 32767
		if i/(4+i/400)%2 == 1 { // from 2 kHz to 180 Hz
			square[i] = -32768
		}
	}
	random := make([]byte, 8000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	return []vector{
		{name: "speech", samples: sound.Speech16k(t)[8000:24000]},
		{name: "noise", samples: noise},
		{name: "sweep", samples: sweep},
		{name: "square", samples: square},
		{name: "random", encoded: random},
	}
}

func vectors(t *testing.T) []vector {
	t.Helper()
	all := sources(t)
	for i := range all {
		v := &all[i]
		if *update {
			v.ask(t)
		}
		v.encoded = readFile(t, v.file(".g722"))
		v.decoded = readFile(t, v.file(".pcm"))
		v.sum = string(bytes.TrimSpace(readFile(t, v.file(".sha256"))))
		if len(v.encoded) != 8000 || len(v.decoded) != head || len(v.sum) != 64 {
			t.Fatalf("vector %s has %d, %d and %d bytes, want 8000, %d and 64", v.name, len(v.encoded), len(v.decoded), len(v.sum), head)
		}
	}
	return all
}

func (v *vector) file(ending string) string { return filepath.Join("testdata", v.name+ending) }

// ask makes the files of the vector with ffmpeg.
func (v *vector) ask(t *testing.T) {
	t.Helper()
	if v.samples != nil {
		v.encoded = ffmpeg(t, pcm(v.samples), "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", "-c:a", "g722", "-f", "g722", "-")
	}
	decoded := ffmpeg(t, v.encoded, "-f", "g722", "-i", "-", "-f", "s16le", "-")
	sum := sha256.Sum256(decoded)
	for ending, data := range map[string][]byte{
		".g722": v.encoded, ".pcm": decoded[:head], ".sha256": []byte(hex.EncodeToString(sum[:]) + "\n"),
	} {
		if err := os.WriteFile(v.file(ending), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error"}, args...)...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	return out
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pcm returns the samples as bytes, little endian.
func pcm(samples []int16) []byte {
	data := make([]byte, 0, 2*len(samples))
	for _, v := range samples {
		data = binary.LittleEndian.AppendUint16(data, uint16(v))
	}
	return data
}

func TestTheEncoderSaysWhatFfmpegSays(t *testing.T) {
	for _, v := range vectors(t) {
		if v.samples == nil {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			if i := differs(encode(v.samples), v.encoded); i >= 0 {
				t.Errorf("byte %d of %d differs", i, len(v.encoded))
			}
		})
	}
}

func TestTheDecoderHearsWhatFfmpegHears(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			got := pcm(decode(v.encoded))
			if i := differs(got[:head], v.decoded); i >= 0 {
				t.Errorf("sample %d differs", i/2)
			}
			if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != v.sum {
				t.Errorf("the sum of all samples is %x, want %s", sum, v.sum)
			}
		})
	}
}

// differs returns the first place where the two differ, or −1.
func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
