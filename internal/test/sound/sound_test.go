package sound

import (
	"fmt"
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
)

// verdict is a test that can fail without failing this one.
type verdict struct {
	testing.TB
	said []string
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) {
	v.said = append(v.said, fmt.Sprintf(format, args...))
}

func TestSpeechIsLoudEnoughAndLongEnough(t *testing.T) {
	for name, speech := range map[string][]int16{"16 kHz": Speech16k(t), "8 kHz": Speech8k(t)} {
		if level := measure.Level(speech); level < -26 || level > -16 {
			t.Errorf("the speech at %s has a level of %.1f dBov, want -26 to -16", name, level)
		}
	}
	if n := len(Speech16k(t)); n < 4*16000 || n > 6*16000 {
		t.Errorf("the speech at 16 kHz has %d samples, want 4 to 6 s", n)
	}
	if n := len(Speech8k(t)); n < 4*8000 || n > 6*8000 {
		t.Errorf("the speech at 8 kHz has %d samples, want 4 to 6 s", n)
	}
}

func TestSineAndSilenceAreAsLongAsAsked(t *testing.T) {
	if n := len(Silence(8000, 20*time.Millisecond)); n != 160 {
		t.Errorf("20 ms of silence at 8 kHz have %d samples, want 160", n)
	}
	if level := measure.Level(Silence(8000, time.Second)); level != measure.Silence {
		t.Errorf("silence has a level of %v dBov", level)
	}
	tone := Sine(16000, 1000, 32767, time.Second)
	if len(tone) != 16000 || tone[0] != 0 || tone[4] != 32767 {
		t.Errorf("a second of 1 kHz has %d samples and begins with %v", len(tone), tone[:5])
	}
}

func TestArrivedAcceptsTheSameLater(t *testing.T) {
	sent := Speech8k(t)
	v := &verdict{TB: t}
	r := Arrived(v, sent, append(Silence(8000, 50*time.Millisecond), sent...), 8000)
	if len(v.said) > 0 {
		t.Errorf("it says %q", v.said)
	}
	if r.Delay() != 50*time.Millisecond {
		t.Errorf("the delay is %v, want 50 ms", r.Delay())
	}
}

func TestArrivedRefusesWhatIsNotTheSame(t *testing.T) {
	sent := Speech8k(t)
	inverted := make([]int16, len(sent))
	for i, v := range sent {
		inverted[i] = -v
	}
	for name, got := range map[string][]int16{
		"nothing":     nil,
		"silence":     Silence(8000, 5*time.Second),
		"a tone":      Sine(8000, 440, 10000, 5*time.Second),
		"half of it":  sent[:len(sent)/2],
		"its inverse": inverted,
		"a hole":      append(append([]int16{}, sent[:16000]...), sent[16160:]...),
		"a repeat":    append(append([]int16{}, sent[:16160]...), sent[16000:]...),
	} {
		v := &verdict{TB: t}
		if r := Arrived(v, sent, got, 8000); len(v.said) == 0 {
			t.Errorf("%s is accepted: %+v", name, r)
		}
	}
}
