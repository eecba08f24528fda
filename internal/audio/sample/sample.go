// Package sample carries recorded sentences for trials of a line.
//
// Both were made with espeak-ng 1.51, a speech synthesiser, and SoX, which brought them to their rate and to −3 dB and cut
// the silence at the ends; nobody's voice is in them.
package sample

import (
	_ "embed"
	"fmt"

	"phonesocket/internal/audio/wav"
)

//go:embed speech.wav
var speech []byte

//go:embed phrase.wav
var phrase []byte

// SpeechText and PhraseText are what the two recordings say.
const (
	SpeechText = "This is phonesocket on the line. Whoever hears me can also answer."
	PhraseText = "Hello, you have reached the talking number. I am listening."
)

// Speech returns what a caller says, and its rate in Hz: nearly four seconds of a man's voice at 16 kHz. The slice
// belongs to the caller.
func Speech() (pcm []int16, rate int) { return decode("speech.wav", speech) }

// Phrase returns what a called party says, and its rate in Hz: three seconds of a woman's voice at 8 kHz, as it sounds
// after µ-law. The slice belongs to the caller.
func Phrase() (pcm []int16, rate int) { return decode("phrase.wav", phrase) }

// SpeechWAV returns the file behind Speech. The slice belongs to the caller.
func SpeechWAV() []byte { return append([]byte(nil), speech...) }

// decode panics when a file that was built into the program is damaged: the tests of this package would have failed.
func decode(name string, file []byte) (pcm []int16, rate int) {
	pcm, rate, err := wav.Decode(file)
	if err != nil {
		panic(fmt.Sprintf("sample %s: %v", name, err))
	}
	return pcm, rate
}
