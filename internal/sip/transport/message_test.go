package transport

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

const (
	invite = "INVITE sip:alice@198.51.100.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\r\nMax-Forwards: 70\r\n" +
		"From: \"Bob\" <sip:bob@example.org>;tag=1\r\nTo: <sip:alice@example.org>\r\nCall-ID: abc@192.0.2.1\r\nCSeq: 7 INVITE\r\n" +
		"Contact: <sip:bob@192.0.2.1>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
	ok = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\n" +
		"f: <sip:bob@example.org>;tag=1\r\nt: <sip:alice@example.org>;tag=2\r\ni: abc\r\nCSeq: 7 INVITE\r\nl: 0\r\n\r\n"
)

func TestMessagesThatHaveAllTheyNeedPass(t *testing.T) {
	for name, text := range map[string]string{
		"a request":                          invite,
		"an answer in compact form (7.3.3)":  ok,
		"a folded header (7.3.1)":            strings.Replace(invite, "<sip:alice@example.org>", "\r\n <sip:alice@example.org>", 1),
		"without Max-Forwards (16.3)":        strings.Replace(invite, "Max-Forwards: 70\r\n", "", 1),
		"without From tag, as RFC 2543 had":  strings.Replace(invite, ";tag=1", "", 1),
		"with a method that nobody knows":    strings.ReplaceAll(invite, "INVITE", "DANCE"),
		"with more bytes than its length":    invite + "garbage",
		"without Content-Length (18.3, UDP)": strings.Replace(invite, "Content-Length: 5\r\n", "", 1),
		"with a tel: URI":                    strings.Replace(invite, "<sip:bob@example.org>", "<tel:+4930123>", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMessagesThatLackWhatOthersRelyOnAreRefused_RFC3261_8_1_1(t *testing.T) {
	without := func(text, header string) string {
		at := strings.Index(text, "\r\n"+header+":") + 2
		end := strings.Index(text[at:], "\r\n") + 2
		return text[:at] + text[at+end:]
	}
	cases := map[string]string{
		"empty":                           "",
		"garbage":                         "\x00\x01\x02\x03",
		"no end of headers":               "OPTIONS sip:a SIP/2.0\r\n",
		"only a start line":               "OPTIONS sip:a SIP/2.0\r\n\r\n",
		"another version":                 strings.Replace(invite, " SIP/2.0\r\n", " SIP/3.0\r\n", 1),
		"a status code that is none":      strings.Replace(ok, "200", "999", 1),
		"a status code below 100":         strings.Replace(ok, "200", "020", 1),
		"two From headers":                strings.Replace(invite, "To:", "From: <sip:x@y>\r\nTo:", 1),
		"two Call-IDs, one compact":       strings.Replace(invite, "To:", "i: foo\r\nTo:", 1),
		"a CSeq of another method":        strings.Replace(invite, "7 INVITE", "7 BYE", 1),
		"a CSeq out of range":             strings.Replace(invite, "7 INVITE", "4294967296 INVITE", 1),
		"a CSeq without method":           strings.Replace(invite, "7 INVITE", "7", 1),
		"a Via without branch":            strings.Replace(invite, ";branch=z9hG4bKx", "", 1),
		"a Via that is broken":            strings.Replace(invite, "SIP/2.0/UDP 192", "SIP192", 1),
		"fewer bytes than Content-Length": strings.Replace(invite, "Content-Length: 5", "Content-Length: 50", 1),
		"a lone LF in a header":           strings.Replace(invite, "Bob", "B\nEvil: yes", 1),
		"a lone CR in a header":           strings.Replace(invite, "Bob", "B\rob", 1),
		"a NUL in a header":               strings.Replace(invite, "Bob", "B\x00b", 1),
		"too many bytes":                  invite + strings.Repeat("x", 70000),
	}
	for _, h := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		cases["no "+h] = without(invite, h)
	}
	for _, h := range []string{"v", "f", "t", "i", "CSeq"} {
		cases["answer without "+h] = without(ok, h)
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			msg, err := Parse([]byte(text))
			if err == nil {
				t.Errorf("accepted:\n%s", msg)
			} else if strings.Contains(err.Error(), "example") {
				t.Errorf("the error holds bytes of the message: %v", err)
			}
		})
	}
}

func TestAPanicOfTheParserIsContained(t *testing.T) {
	b := newBench(nil)
	b.parser = nil // whatever it is that goes wrong in there
	b.from(provider, invite)
	if got := b.guard.stats(); got.Panics != 1 || got.Malformed != 1 || len(b.got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(invite))
	f.Add([]byte(ok))
	f.Add([]byte(options + "\r\n"))
	f.Add([]byte(strings.Replace(invite, "192.0.2.1:5060", "[2001:db8::1]:5060", 1)))
	f.Add([]byte(strings.Replace(invite, "Contact: <sip:bob@192.0.2.1>", "Record-Route: <sip:192.0.2.1;lr>, <sip:x@y;lr>\r\nContact: *", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := Parse(data)
		if err != nil {
			return
		}
		// What everything else does with a message without asking again.
		_ = msg.Via().SentBy() + msg.From().Value() + msg.To().Value() + msg.CallID().Value() + msg.CSeq().Value()
		// What we write is not read as more headers than we meant.
		head, _, _ := strings.Cut(msg.String(), "\r\n\r\n")
		n := 1
		switch m := msg.(type) {
		case *sip.Request:
			n += len(m.Headers())
		case *sip.Response:
			n += len(m.Headers())
		}
		if lines := strings.Count(head, "\n") + 1; lines > n {
			t.Errorf("%d lines for %d headers:\n%q", lines, n, head)
		}
	})
}
