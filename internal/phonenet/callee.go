package phonenet

import (
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// callees is the table of the built-in scripts; doc.go describes it to users.
func callees(phrase []int16) []struct {
	digits, name string
	script       Script
} {
	return []struct {
		digits, name string
		script       Script
	}{
		{"100", "echo", answer(Echo())},
		{"101", "speaker", answer(Say(phrase))},
		{"102", "busy", reject(sip.StatusBusyHere)},
		{"103", "ringing", (*Leg).Ring},
		{"104", "decline", reject(sip.StatusGlobalDecline)},
		{"105", "hangup", hangup(phrase)},
		{"106", "early", early(phrase)},
		{"107", "silent", answer(Nothing())},
		{"108", "late", late},
		{"109", "hold", hold},
		{"111", "comfort", answer(Say(nil))},
	}
}

// callee resolves a Request-URI to a script, or to nil.
func (n *Net) callee(uri sip.Uri) (name string, script Script) {
	user, _, _ := strings.Cut(uri.User, ";")
	digits := lastDigits(user)
	for _, key := range []string{digits, user} {
		if s, ok := n.cfg.Scripts[key]; ok && key != "" {
			return key, s
		}
	}
	for _, c := range callees(n.cfg.Phrase) {
		if c.digits == digits || c.name == user {
			return c.name, c.script
		}
	}
	return statusScript(digits)
}

// lastDigits are the last three digits of a number in any notation, or nothing
// when it is no number or too short.
func lastDigits(user string) string {
	var digits strings.Builder
	for i, r := range user {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r == '+' && i == 0, strings.ContainsRune("-.() ", r):
		default:
			return ""
		}
	}
	number := digits.String()
	if strings.HasPrefix(user, "+") {
		number = strings.TrimPrefix(number, "49")
	} else {
		number = strings.TrimPrefix(strings.TrimPrefix(number, "0049"), "0")
	}
	if len(number) < 3 {
		return ""
	}
	return number[len(number)-3:]
}

// answer makes the script that picks up at once.
func answer(s Sound) Script {
	return func(leg *Leg) {
		leg.Ring()
		leg.Answer(s)
	}
}

func hangup(phrase []int16) Script {
	return func(leg *Leg) {
		leg.Ring()
		leg.Answer(Say(phrase))
		leg.After(leg.Knob("after", 2*time.Second), leg.Hangup)
	}
}

func early(phrase []int16) Script {
	return func(leg *Leg) {
		leg.Early(RingTone())
		leg.After(leg.Knob("ring", 2*time.Second), func() { leg.Answer(Say(phrase)) })
	}
}

func late(leg *Leg) {
	leg.Ring()
	leg.After(leg.Knob("ring", 3*time.Second), func() { leg.Answer(Echo()) })
}

func hold(leg *Leg) {
	leg.Ring()
	leg.Answer(Echo())
	leg.OnAck(func() {
		leg.After(leg.Knob("after", 2*time.Second), func() {
			leg.Hold()
			leg.After(leg.Knob("hold", 2*time.Second), leg.Resume)
		})
	})
}
