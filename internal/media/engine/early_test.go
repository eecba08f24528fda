package engine

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/session"
)

// spoken records what is replayed.
type spoken struct {
	got []string
}

func (s *spoken) Speak(_ time.Time, data []byte) { s.got = append(s.got, string(data)) }
func (s *spoken) Mark(_ time.Time, name string)  { s.got = append(s.got, "mark "+name) }

func newEarly(limit time.Duration, drop bool) *earlyAudio {
	var a earlyAudio
	a.init(ConnConfig{
		Format:     session.Format{Encoding: session.PCM16, Rate: 8000, DropEarly: drop},
		EarlyLimit: limit,
	})
	return &a
}

func TestSpeechBeforeACallIsReplayedWithItsMarks(t *testing.T) {
	a := newEarly(time.Second, false)
	a.mark("first")
	a.write([]byte("aaaa"))
	a.mark("middle")
	a.write([]byte("bb"))
	a.mark("last")
	var to spoken
	a.replay(testEpoch, &to)
	if diff := cmp.Diff([]string{"mark first", "aaaa", "mark middle", "bb", "mark last"}, to.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	to = spoken{}
	a.replay(testEpoch, &to)
	if len(to.got) > 0 {
		t.Errorf("replayed twice: %q", to.got)
	}
}

func TestTheOldestSpeechGoesWhenTheLimitIsReached(t *testing.T) {
	a := newEarly(time.Millisecond, false) // 16 bytes
	var lost int64
	a.write([]byte("0123"))
	a.mark("gone")
	a.write([]byte("456789"))
	a.mark("kept")
	lost += a.write([]byte("abcdefghijkl"))
	var to spoken
	a.replay(testEpoch, &to)
	if diff := cmp.Diff([]string{"mark gone", "6789", "mark kept", "abcdefghijkl"}, to.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if lost == 0 {
		t.Error("the loss was not counted")
	}
}

func TestEarlySpeechNeverHoldsMuchMoreThanTheLimit(t *testing.T) {
	a := newEarly(time.Second, false)
	var whole []byte
	for i := range 5000 {
		piece := bytes.Repeat([]byte{byte(i)}, 1+i%700)
		whole = append(whole, piece...)
		a.write(piece)
		if len(a.data) > 16000*5/4+700 {
			t.Fatalf("%d bytes held for a limit of 16000", len(a.data))
		}
	}
	var to spoken
	a.replay(testEpoch, &to)
	want := whole[len(whole)-len(to.got[0]):]
	if got := []byte(to.got[0]); !bytes.Equal(got, want) || len(got) < 15998 || len(got) > 16000 {
		t.Errorf("replayed %d bytes, want the last 16000", len(got))
	}
}

func TestAWAVHeaderStaysInFront(t *testing.T) {
	header := []byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	header = binary.LittleEndian.AppendUint32(header, 16000)
	header = binary.LittleEndian.AppendUint32(header, 32000)
	header = append(header, "\x02\x00\x10\x00data\xff\xff\xff\xff"...)
	for _, step := range []int{1, 5, 44, 100} {
		a := newEarly(5*time.Millisecond, false) // of the WAV: 160 bytes
		input := append(bytes.Clone(header), bytes.Repeat([]byte("x"), 1000)...)
		input = append(input, bytes.Repeat([]byte("y"), 160)...)
		for rest := input; len(rest) > 0; {
			n := min(step, len(rest))
			a.write(rest[:n])
			rest = rest[n:]
		}
		var to spoken
		a.replay(testEpoch, &to)
		if diff := cmp.Diff([]string{string(header), string(bytes.Repeat([]byte("y"), 160))}, to.got); diff != "" {
			t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
		}
	}
}

// wavHead is the header of a WAV stream of unknown length, 16-bit PCM.
func wavHead(rate uint32) []byte {
	h := []byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	h = binary.LittleEndian.AppendUint32(h, rate)
	h = binary.LittleEndian.AppendUint32(h, 2*rate)
	return append(h, "\x02\x00\x10\x00data\xff\xff\xff\xff"...)
}

func TestAWAVStreamThatWasCutOffGoesOnWithItsHeader(t *testing.T) {
	a := newEarly(time.Second, false)
	a.write([]byte("left over"))
	a.resume(wavHead(16000))
	a.write([]byte("abcd"))
	if ms, _ := a.clear(); ms != 0 {
		t.Errorf("cleared %d ms, want those of 4 bytes", ms)
	}
	a.mark("m")
	a.write([]byte("efgh"))
	var to spoken
	a.replay(testEpoch, &to)
	if diff := cmp.Diff([]string{string(wavHead(16000)), "mark m", "efgh"}, to.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	a.resume(nil)
	a.write([]byte("ijkl"))
	to = spoken{}
	a.replay(testEpoch, &to)
	if diff := cmp.Diff([]string{"ijkl"}, to.got); diff != "" {
		t.Errorf("without a stream (-want +got):\n%s", diff)
	}
}

func TestEachEarlyWAVFileIsReplayedFromItsHeader(t *testing.T) {
	a := newEarly(time.Second, false)
	a.resume(wavHead(48000)) // nothing follows it
	a.mark("m")
	first, second := append(wavHead(8000), "abcd"...), append(wavHead(16000), "efgh"...)
	a.write(first)
	a.write([]byte("more"))
	a.write(second)
	var to spoken
	a.replay(testEpoch, &to)
	want := []string{string(wavHead(8000)), "mark m", "abcdmore", string(second)}
	if diff := cmp.Diff(want, to.got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEarlyDropKeepsNothing(t *testing.T) {
	for _, a := range []*earlyAudio{newEarly(time.Second, true), newEarly(-1, false)} {
		if lost := a.write([]byte("abcd")); lost != 0 {
			t.Errorf("%d ms told as lost, though the client asked for it", lost)
		}
		var to spoken
		a.replay(testEpoch, &to)
		if len(to.got) > 0 {
			t.Errorf("replayed %q", to.got)
		}
	}
}

func TestClearForgetsEarlySpeech(t *testing.T) {
	a := newEarly(time.Second, false)
	a.write(make([]byte, 320))
	a.mark("m")
	ms, marks := a.clear()
	if ms != 20 || !cmp.Equal(marks, []string{"m"}) {
		t.Errorf("cleared %d ms and marks %q, want 20 and m", ms, marks)
	}
	if ms, marks = a.clear(); ms != 0 || marks != nil {
		t.Errorf("a second clear found %d ms and marks %q", ms, marks)
	}
}

func FuzzWAVHeader(f *testing.F) {
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVELIST\xff\xff\xff\xff"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEjunk\x01\x00\x00\x00\x00\x00data\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		size, rate := wavHeader(data)
		if size < 0 || size > len(data) || rate < 0 {
			t.Errorf("header of %d bytes with rate %d in %d bytes", size, rate, len(data))
		}
	})
}
