package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// chunk returns a RIFF chunk; the length may be another than that of the body.
func chunk(name string, length uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), length)
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

// format returns the body of a fmt chunk of 16 bytes.
func format(tag, channels uint16, rate uint32, bits uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag)
	b = binary.LittleEndian.AppendUint16(b, channels)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*uint32(channels)*uint32(bits)/8)
	b = binary.LittleEndian.AppendUint16(b, channels*bits/8)
	return binary.LittleEndian.AppendUint16(b, bits)
}

// extensible returns the body of a fmt chunk of 40 bytes, with the tag in the GUID.
func extensible(tag uint16, rate uint32, bits uint16) []byte {
	b := format(tagExtensible, 1, rate, bits)
	b = binary.LittleEndian.AppendUint16(b, 22)   // of extension
	b = binary.LittleEndian.AppendUint16(b, bits) // valid
	b = binary.LittleEndian.AppendUint32(b, 4)    // front centre
	b = binary.LittleEndian.AppendUint16(b, tag)
	return append(b, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71"...)
}

// riff returns a file of the chunks.
func riff(chunks ...[]byte) []byte {
	body := append([]byte("WAVE"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// read feeds the file in pieces of the given size.
func read(file []byte, size int) (samples []byte, r *Reader, err error) {
	r = &Reader{}
	for len(file) > 0 && err == nil {
		n := min(size, len(file))
		var some []byte
		some, err = r.Feed(file[:n])
		samples = append(samples, some...)
		file = file[n:]
	}
	return samples, r, err
}

var pcm8k = format(tagPCM, 1, 8000, 16)

func TestFilesOfAllKindsAreRead(t *testing.T) {
	body := []byte("12345678")
	data := chunk("data", 8, body)
	tests := []struct {
		name    string
		file    []byte
		format  Format
		samples string
		done    bool
	}{
		{"8 kHz PCM", riff(chunk("fmt ", 16, pcm8k), data), Format{PCM16, 8000}, "12345678", true},
		{"16 kHz PCM", riff(chunk("fmt ", 16, format(1, 1, 16000, 16)), data), Format{PCM16, 16000}, "12345678", true},
		{"24 kHz PCM", riff(chunk("fmt ", 16, format(1, 1, 24000, 16)), data), Format{PCM16, 24000}, "12345678", true},
		{"48 kHz PCM", riff(chunk("fmt ", 16, format(1, 1, 48000, 16)), data), Format{PCM16, 48000}, "12345678", true},
		{"A-law with an extension of length zero", riff(chunk("fmt ", 18, append(format(6, 1, 8000, 8), 0, 0)), data), Format{ALaw, 8000}, "12345678", true},
		{"µ-law", riff(chunk("fmt ", 16, format(7, 1, 8000, 8)), data), Format{ULaw, 8000}, "12345678", true},
		{"extensible PCM", riff(chunk("fmt ", 40, extensible(tagPCM, 16000, 16)), data), Format{PCM16, 16000}, "12345678", true},
		{"extensible µ-law", riff(chunk("fmt ", 40, extensible(tagULaw, 8000, 8)), data), Format{ULaw, 8000}, "12345678", true},
		{"a fmt chunk longer than any we know", riff(chunk("fmt ", 101, append(pcm8k, make([]byte, 85)...)), data), Format{PCM16, 8000}, "12345678", true},
		{"chunks before, between and after", riff(chunk("JUNK", 3, []byte("abc")), chunk("fmt ", 16, pcm8k), chunk("LIST", 4, []byte("data")), chunk("fact", 0, nil), data, chunk("LIST", 4, []byte("more"))), Format{PCM16, 8000}, "12345678", true},
		{"data of length 0 goes on", riff(chunk("fmt ", 16, pcm8k), chunk("data", 0, body)), Format{PCM16, 8000}, "12345678", false},
		{"data of unknown length goes on", riff(chunk("fmt ", 16, pcm8k), chunk("data", Unknown, body)), Format{PCM16, 8000}, "12345678", false},
		{"data of a length that is too great goes on", riff(chunk("fmt ", 16, pcm8k), chunk("data", 0x7FFFF000, body)), Format{PCM16, 8000}, "12345678", false},
		{"a file with a second data chunk ends after the first", riff(chunk("fmt ", 16, pcm8k), data, data), Format{PCM16, 8000}, "12345678", true},
		{"an odd number of bytes is not rounded", riff(chunk("fmt ", 16, pcm8k), chunk("data", 3, []byte("123"))), Format{PCM16, 8000}, "123", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 11, 44, 45, 1000} {
				samples, r, err := read(tt.file, size)
				if err != nil {
					t.Fatalf("in pieces of %d: %v", size, err)
				}
				if got, ok := r.Format(); !ok || got != tt.format {
					t.Errorf("in pieces of %d: the format is %v (%v), want %v", size, got, ok, tt.format)
				}
				if string(samples) != tt.samples {
					t.Errorf("in pieces of %d: the samples are %q, want %q", size, samples, tt.samples)
				}
				if r.Done() != tt.done {
					t.Errorf("in pieces of %d: done is %v, want %v", size, r.Done(), tt.done)
				}
			}
		})
	}
}

func TestWhatCannotBeTakenIsRefusedWithTheCure(t *testing.T) {
	data := chunk("data", 8, []byte("12345678"))
	fmtChunk := func(body []byte) []byte { return riff(chunk("fmt ", uint32(len(body)), body), data) }
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"stereo", fmtChunk(format(1, 2, 16000, 16)), "2 channels; a phone line is mono: mix it down"},
		{"no channel", fmtChunk(format(1, 0, 16000, 16)), "0 channels"},
		{"44.1 kHz", fmtChunk(format(1, 1, 44100, 16)), "44100 samples per second; convert it to 8000, 16000, 24000 or 48000"},
		{"24 bits", fmtChunk(format(1, 1, 16000, 24)), "24 bits in encoding 1; send 16-bit PCM"},
		{"8 bits", fmtChunk(format(1, 1, 8000, 8)), "8 bits in encoding 1"},
		{"floats", fmtChunk(format(3, 1, 16000, 32)), "32 bits in encoding 3"},
		{"extensible floats", fmtChunk(extensible(3, 16000, 32)), "32 bits in encoding 3"},
		{"an extensible format that was cut off", fmtChunk(format(tagExtensible, 1, 16000, 16)), "encoding 65534"},
		{"a fmt chunk of 14 bytes", fmtChunk(pcm8k[:14]), "14 bytes, at least 16 are needed"},
		{"no fmt chunk", riff(data), "no fmt chunk"},
		{"MP3", []byte("ID3\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "not a WAV file"},
		{"AVI", []byte("RIFF\x00\x00\x00\x00AVI LIST"), "not a WAV file"},
		{"big-endian RIFX", []byte("RIFX\x00\x00\x00\x00WAVEfmt "), "not a WAV file"},
		{"a chunk longer than all patience", append(riff(chunk("JUNK", 0xFFFFFFF0, nil)), make([]byte, 5<<20)...), "within its first 4 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 5, 4096, 10 << 20} {
				samples, r, err := read(tt.file, size)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("in pieces of %d: the error is %v, want one that says %q", size, err, tt.want)
				}
				if len(samples) > 0 {
					t.Errorf("in pieces of %d: there are samples: %q", size, samples)
				}
				if _, again := r.Feed(data); !errors.Is(again, err) {
					t.Errorf("in pieces of %d: the next call returns %v, want the same error", size, again)
				}
			}
		})
	}
}

func TestNoFormatIsToldBeforeTheSamplesBegin(t *testing.T) {
	file := riff(chunk("fmt ", 16, pcm8k), chunk("data", 2, []byte("12")))
	var r Reader
	for i := range file[:len(file)-3] {
		if _, err := r.Feed(file[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if f, ok := r.Format(); ok {
			t.Fatalf("after %d bytes of header the format is %v", i+1, f)
		}
	}
}

func TestSniffNeedsTwelveBytesOfAWAVFile(t *testing.T) {
	for head, want := range map[string]bool{
		"RIFF\x24\x00\x00\x00WAVE": true, "RIFF\x24\x00\x00\x00WAVEfmt ": true,
		"RIFF\x24\x00\x00\x00WAV": false, "RIFF\x24\x00\x00\x00AVI ": false, "": false, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": false,
	} {
		if got := Sniff([]byte(head)); got != want {
			t.Errorf("Sniff(%q) is %v, want %v", head, got, want)
		}
	}
}

func TestFeedAllocatesNothing(t *testing.T) {
	file := riff(chunk("fmt ", 16, pcm8k), chunk("data", 8, []byte("12345678")))
	if n := testing.AllocsPerRun(100, func() {
		var r Reader
		for i := range file {
			_, _ = r.Feed(file[i : i+1])
		}
	}); n != 0 {
		t.Errorf("reading costs %v allocations, want 0", n)
	}
}

func FuzzReader(f *testing.F) {
	data := chunk("data", 8, []byte("12345678"))
	f.Add(riff(chunk("fmt ", 16, pcm8k), data), 1)
	f.Add(riff(chunk("fmt ", 40, extensible(tagALaw, 8000, 8)), data), 5)
	f.Add(riff(chunk("LIST", 3, []byte("abc")), chunk("fmt ", 16, pcm8k), chunk("data", Unknown, []byte("123"))), 13)
	f.Add(riff(chunk("fmt ", 16, format(1, 2, 44100, 24)), data), 3)
	f.Add(riff(chunk("JUNK", Unknown, nil), data), 3)
	f.Add([]byte("RIFF"), 2)
	f.Fuzz(func(t *testing.T, file []byte, size int) {
		size = max(1, size&0xFFFF)
		want, whole, wantErr := read(file, len(file)+1)
		got, pieces, err := read(file, size)
		if wantErr == nil != (err == nil) || (err != nil && err.Error() != wantErr.Error()) {
			t.Fatalf("the error is %v in one piece, %v in pieces of %d", wantErr, err, size)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the samples are %q in one piece, %q in pieces of %d", want, got, size)
		}
		if !bytes.Contains(file, got) {
			t.Errorf("the samples %q are no part of the file %q", got, file)
		}
		wantFormat, wantOK := whole.Format()
		if f, ok := pieces.Format(); ok != wantOK || f != wantFormat {
			t.Errorf("the format is %v, %v in one piece, %v, %v in pieces of %d", wantFormat, wantOK, f, ok, size)
		}
		if pieces.Done() != whole.Done() {
			t.Errorf("done is %v in one piece, %v in pieces of %d", whole.Done(), pieces.Done(), size)
		}
		samples, rate, err := Decode(file)
		if err == nil && (rate != wantFormat.Rate || len(samples) != len(want)/wantFormat.Encoding.Size()) {
			t.Errorf("Decode gives %d samples at %d Hz of %d bytes in format %v", len(samples), rate, len(want), wantFormat)
		}
	})
}
