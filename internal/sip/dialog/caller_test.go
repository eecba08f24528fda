package dialog

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

// arriving is an INVITE with other lines in the place of those of siptest.
func arriving(t testing.TB, from, to string, extra ...string) *sip.Request {
	t.Helper()
	text := siptest.Outside("INVITE", "x", extra...)
	text = strings.Replace(text, "From: <sip:bob@example.org>", "From: "+from, 1)
	text = strings.Replace(text, "To: <sip:alice@example.org>", "To: "+to, 1)
	msg, err := transport.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return msg.(*sip.Request)
}

func TestTheCallerComesFromPAIThenRPIDThenFrom(t *testing.T) {
	const pai, rpid = `P-Asserted-Identity: "Ann" <sip:+49301@x;user=phone>, <tel:+49302>`, `Remote-Party-ID: "Bob" <sip:030-2@x>;party=calling;privacy=off`
	cases := []struct {
		name, from   string
		extra        []string
		number, said string
	}{
		{"the network asserts it (RFC 3325)", `"Eve" <sip:666@x>`, []string{rpid, pai}, "+49301", "Ann"},
		{"Remote-Party-ID", `"Eve" <sip:666@x>`, []string{rpid}, "0302", "Bob"},
		{"From", `"Eve" <sip:+49(30)6-66;cpc=ordinary@x>`, nil, "+4930666", "Eve"},
		{"a tel URI", `<tel:+49-30-7;phone-context=x>`, nil, "+49307", ""},
		{"a name without quotes and brackets", `sip:4711@x`, nil, "4711", ""},
		{"an address", `<sip:eve@example.org;x=y>`, nil, "sip:eve@example.org", ""},
		{"percent-encoding", `<sip:%2B4930@x>`, nil, "+4930", ""},
		{"anonymous", `"Anonymous" <sip:anonymous@anonymous.invalid>`, nil, Anonymous, "Anonymous"},
		{"anonymous, but the network knows", `<sip:anonymous@anonymous.invalid>`, []string{pai}, "+49301", "Ann"},
		{"privacy (RFC 3323)", `"Eve" <sip:666@x>`, []string{pai, "Privacy: id;critical"}, Anonymous, ""},
		{"no privacy", `<sip:666@x>`, []string{pai, "Privacy: none"}, "+49301", "Ann"},
		{"PAI of the second kind", `<sip:666@x>`, []string{"P-Asserted-Identity: tel:+49305"}, "+49305", ""},
		{"PAI that cannot be read", `<sip:666@x>`, []string{`P-Asserted-Identity: "x <sip:1@x`}, "666", ""},
		{"a host only", `<sip:example.org>`, nil, Anonymous, ""},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			number, said := callerOf(arriving(t, tt.from, "<sip:alice@x>", tt.extra...))
			if number != tt.number || said != tt.said {
				t.Errorf("got %q %q, want %q %q", number, said, tt.number, tt.said)
			}
		})
	}
}

func TestTheDialledNumberComesFromPCalledPartyIDThenTo(t *testing.T) {
	cases := []struct{ name, to, extra, want string }{
		{"P-Called-Party-ID (RFC 7315 4.2)", "<sip:+4930@x>", "P-Called-Party-ID: <sip:+49301@x>", "+49301"},
		{"To", "<sip:+4930@x;user=phone>", "Subject: x", "+4930"},
		{"the Request-URI", "<sip:anonymous@anonymous.invalid>", "Subject: x", "sip:alice@198.51.100.7"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			if got := calledOf(arriving(t, "<sip:1@x>", tt.to, tt.extra)); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzWhoCalls(f *testing.F) {
	for _, s := range []string{`"A \"B" <sip:+49@x;y>;z`, "<tel:+49>", "sip:a%00b@x", `"`, "<", "sip:@", "Ä <sips:a:b@[::1]:5060?x=y>", "\x80\xff<sip:1@x>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		name, uri := nameAddr(value)
		party := partyOf(uri)
		for _, shown := range []string{readable(name), party} {
			if !utf8.ValidString(shown) || len(shown) > maxParty+8 || strings.ContainsAny(shown, "\r\n\x00") {
				t.Errorf("%q shows %q", value, shown)
			}
		}
	})
}
