package e2e

import (
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
	"phonesocket/internal/audio/resample"
	"phonesocket/internal/audio/sample"
	"phonesocket/internal/test/sound"
)

func TestSpeechCrossesARealProviderToARealPhoneInBothDirections(t *testing.T) {
	peers(t, "kamailio", "baresip")
	tests := []struct {
		name    string
		network string
		defines []string
		wide    bool // the phone speaks G.722 only: baresip follows the order of the offer, in which PCMA comes first
	}{
		{name: "over UDP with an MD5 digest", network: "udp"},
		{name: "over UDP with a SHA-256 digest, BYE challenged", network: "udp", defines: []string{"SHA256", "BYEAUTH"}},
		{name: "over UDP with G.722", network: "udp", wide: true},
		{name: "over TCP", network: "tcp"},
		{name: "over TLS with a certificate that is checked", network: "tls"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, test.defines...)
			said := sound.Speech16k(t)
			// The phone hangs up when its file ends, so silence follows its speech.
			phrase, original := sample.Phrase()
			spoken := convert(t, phrase, original, 48000)
			codec, rate, prefers := "PCMA", 8000, ";audio_codecs=pcma/8000/1"
			if test.wide {
				codec, rate, prefers = "G722", 16000, ";audio_codecs=g722/16000/1"
			}
			ph := startPhone(t, p, append(spoken, make([]int16, 20*48000)...), prefers)
			g := startGateway(t, p.account(test.network)...)
			g.waitReady(t)

			call := g.dial(t, object{"to": "200"})
			ear, mouth := connect(t, call.text("listen_url")), connect(t, call.text("speak_url"))
			mouth.speak(t, said)
			mouth.send(t, object{"type": "mark", "name": "all said"})
			ear.waitText(t, "answered", 10*time.Second)
			mouth.waitText(t, "mark", 15*time.Second)
			wanted := len(spoken)/3 + 16000
			ear.wait(t, 15*time.Second, "all that the phone says is heard", func() bool { return len(ear.audio)/2 > wanted })

			state := g.call(t, call.text("id"))
			g.hangup(t, call.text("id"))
			end := ear.waitText(t, "end", 5*time.Second)
			if end.text("reason") != "api_hangup" {
				t.Errorf("end = %v, want reason api_hangup", end)
			}
			if lost := state.number("audio", "rtp_packets_lost"); lost != 0 {
				t.Errorf("rtp_packets_lost = %v, want 0", lost)
			}
			compare(t, "what the socket heard", convert(t, spoken, 48000, 16000), ear.heard(), 16000)
			compare(t, "what the phone heard", convert(t, said, 16000, rate), ph.heard(t), rate)
			if got := state.text("codec"); got != codec {
				t.Errorf("codec = %s, want %s", got, codec)
			}
		})
	}
}

// compare fails when got does not contain sent.
func compare(t *testing.T, what string, sent, got []int16, rate int) {
	t.Helper()
	r := measure.Align(sent, got, rate)
	t.Logf("%s: correlation %.3f", what, r.Correlation)
	if r.Correlation < 0.9 {
		t.Errorf("%s: correlation with what was sent is %.3f, want 0.9 or more (%d samples sent, %d got)", what, r.Correlation, len(sent), len(got))
	}
}

// convert changes the rate of samples.
func convert(t *testing.T, pcm []int16, from, to int) []int16 {
	t.Helper()
	r, err := resample.New(from, to)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int16, r.MaxOut(len(pcm)))
	return out[:r.Process(out, pcm)]
}
