package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"phonesocket/internal/audio/g711"
)

func TestHeaderIsThatOfRIFF(t *testing.T) {
	got := Header(16000, 16, 1, 6)
	want := "RIFF\x2A\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3E\x00\x00\x00\x7D\x00\x00\x02\x00\x10\x00data\x06\x00\x00\x00"
	if string(got) != want {
		t.Errorf("the header is %q, want %q", got, want)
	}
	if len(got) != HeaderSize {
		t.Errorf("the header has %d bytes, want %d", len(got), HeaderSize)
	}
}

func TestTheLengthOfTheFileIsCountedOrUnknown(t *testing.T) {
	for bytes, want := range map[uint32]uint32{
		0: 36, 2: 38, 3: 40, // an odd chunk is padded
		Unknown - 38: Unknown - 1, // the longest that can be written down
		Unknown - 37: Unknown, Unknown - 1: Unknown, Unknown: Unknown,
	} {
		h := Header(8000, 16, 1, bytes)
		if got := binary.LittleEndian.Uint32(h[4:]); got != want {
			t.Errorf("%d bytes of samples: the length of the file is %d, want %d", bytes, got, want)
		}
		if got := binary.LittleEndian.Uint32(h[40:]); got != bytes {
			t.Errorf("the length of the samples is %d, want %d", got, bytes)
		}
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, rate := range []int{8000, 16000, 24000, 48000} {
		for _, samples := range [][]int16{{1}, {0, 1, -1, math.MaxInt16, math.MinInt16}, make([]int16, 1000)} {
			var file bytes.Buffer
			if err := Write(&file, rate, samples); err != nil {
				t.Fatal(err)
			}
			got, gotRate, err := Decode(file.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if gotRate != rate || !slices.Equal(got, samples) {
				t.Errorf("%d Hz, %v comes back as %d Hz, %v", rate, samples, gotRate, got)
			}
		}
	}
}

func TestADecodedFileIsLinear(t *testing.T) {
	codes := []byte{0x00, 0x55, 0x80, 0xD5, 0xFF}
	ulaw, alaw := make([]int16, 5), make([]int16, 5)
	g711.DecodeULaw(ulaw, codes)
	g711.DecodeALaw(alaw, codes)
	for name, tt := range map[string]struct {
		tag  uint16
		want []int16
	}{"µ-law": {tagULaw, ulaw}, "A-law": {tagALaw, alaw}} {
		got, rate, err := Decode(riff(chunk("fmt ", 16, format(tt.tag, 1, 8000, 8)), chunk("data", 5, codes)))
		if err != nil {
			t.Fatal(err)
		}
		if rate != 8000 || !slices.Equal(got, tt.want) {
			t.Errorf("%s decodes to %v at %d Hz, want %v at 8000 Hz", name, got, rate, tt.want)
		}
	}
}

func TestAFileCutOffWithinItsSamplesYieldsTheRest(t *testing.T) {
	got, _, err := Decode(riff(chunk("fmt ", 16, pcm8k), chunk("data", 100, []byte{1, 0, 2, 0})))
	if err != nil {
		t.Fatal(err)
	}
	if want := []int16{1, 2}; !slices.Equal(got, want) {
		t.Errorf("the samples are %v, want %v", got, want)
	}
}

func TestAFileCutOffBeforeItsSamplesIsRefused(t *testing.T) {
	file := riff(chunk("fmt ", 16, pcm8k), chunk("data", 2, []byte{1, 0}))
	for n := range HeaderSize {
		if _, _, err := Decode(file[:n]); !errors.Is(err, ErrNoSamples) {
			t.Errorf("the first %d bytes: the error is %v, want %v", n, err, ErrNoSamples)
		}
	}
}

// broken is a writer that cannot write.
type broken struct{}

var errBroken = errors.New("no space")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestAWriteThatFailsIsReported(t *testing.T) {
	if err := Write(broken{}, 8000, []int16{1}); !errors.Is(err, errBroken) {
		t.Errorf("the error is %v, want %v", err, errBroken)
	}
}

func TestEncodingsHaveNamesAndSizes(t *testing.T) {
	for e, want := range map[Encoding]struct {
		name string
		size int
	}{PCM16: {"pcm16", 2}, ULaw: {"ulaw", 1}, ALaw: {"alaw", 1}, 9: {"encoding 9", 1}} {
		if e.String() != want.name || e.Size() != want.size {
			t.Errorf("%s has %d bytes, want %s and %d", e, e.Size(), want.name, want.size)
		}
	}
}
