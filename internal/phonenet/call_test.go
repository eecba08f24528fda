package phonenet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPhoneRegistersAndTalksToTheEcho(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	if r := p.register("Expires: 120"); !strings.HasPrefix(r.first, "SIP/2.0 200") {
		t.Fatalf("REGISTER got %q", r.first)
	}
	r, err := n.WaitRegistered(within(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if r.Received.String() != p.conn.LocalAddr().String() || r.Lease != 2*time.Minute {
		t.Errorf("registration is %+v", r)
	}

	p.newCall()
	c := p.dial("100", "8 101")
	if _, err := n.WaitState(within(t), StateConfirmed); err != nil {
		t.Fatal(err)
	}
	var got []string
	var first sound
	for i := range 5 {
		payload := strings.Repeat(string(rune('a'+i)), 160)
		p.talk(c, 8, uint16(65534+i), uint32(1000+160*i), []byte(payload))
		s := p.listen()
		if i == 0 {
			first = s
		}
		if s.seq != first.seq+uint16(i) || s.ts != first.ts+uint32(160*i) || s.ssrc != first.ssrc || s.payloadType != 8 {
			t.Errorf("packet %d came back as %d/%d pt %d, the first was %d/%d", i, s.seq, s.ts, s.payloadType, first.seq, first.ts)
		}
		got = append(got, s.payload[:3])
	}
	if diff := cmp.Diff([]string{"aaa", "bbb", "ccc", "ddd", "eee"}, got); diff != "" {
		t.Error(diff)
	}
	p.bye(c)
	ended, err := n.WaitState(within(t), StateEnded)
	if err != nil {
		t.Fatal(err)
	}
	want := Seen{Invite: 1, Ack: 1, Bye: 1}
	if diff := cmp.Diff(want, ended.Seen); diff != "" {
		t.Error(diff)
	}
	if ended.Reason != EndRemoteBye || ended.RTP.Received != 5 || ended.RTP.Sent != 5 || ended.RTP.Lost != 0 || ended.Script != "echo" {
		t.Errorf("call ended as %+v", ended)
	}
	pcm, err := n.Heard(within(t), ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(pcm) != 800 || pcm[0] != decodeALaw('a') || pcm[799] != decodeALaw('e') {
		t.Errorf("recording has %d samples", len(pcm))
	}
}

func TestEveryNumberPlaysItsPart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		number, want string
		header       string
	}{
		{"102", "SIP/2.0 486", ""},
		{"+4930901820102", "SIP/2.0 486", ""},
		{"004930102", "SIP/2.0 486", ""},
		{"busy", "SIP/2.0 486", ""},
		{"104", "SIP/2.0 603", ""},
		{"404", "SIP/2.0 404", ""},
		{"+4930404", "SIP/2.0 404", ""},
		{"110", "SIP/2.0 404", ""},
		{"112", "SIP/2.0 404", ""},
		{"nobody", "SIP/2.0 404", ""},
		{"503", "SIP/2.0 503", "retry-after: 5"},
		{"302", "SIP/2.0 302", "contact: sip:100@127.0.0.1"},
		{"604", "SIP/2.0 604", ""},
	}
	for _, test := range tests {
		t.Run(test.number, func(t *testing.T) {
			t.Parallel()
			n := start(t, Config{T1: 50 * time.Millisecond})
			p := newPhone(t, n)
			uri := "sip:" + test.number + "@phonenet"
			p.cseq = 1
			m := message{method: "INVITE", uri: uri, cseq: 1, body: p.offer("8 0 101")}
			p.send(m)
			challenge := p.want("SIP/2.0 407")
			p.cseq = 2
			m.cseq, m.branch = 2, "z9hG4bKsecond"
			m.headers = []string{"Proxy-Authorization: " + p.credentials(challenge.get("proxy-authenticate"), "INVITE", uri, 1)}
			p.send(m)
			r := p.read()
			for strings.HasPrefix(r.first, "SIP/2.0 1") || strings.HasPrefix(r.first, "SIP/2.0 407") {
				r = p.read()
			}
			if !strings.HasPrefix(r.first, test.want) {
				t.Fatalf("got %q, want %q", r.first, test.want)
			}
			if name, value, ok := strings.Cut(test.header, ": "); ok && !strings.Contains(r.get(name), value) {
				t.Errorf("%s is %q", name, r.get(name))
			}
			for { // without an ACK the refusal is repeated
				if again := p.read(); strings.HasPrefix(again.first, test.want) {
					break
				}
			}
			p.send(message{method: "ACK", uri: uri, to: r.get("to"), cseq: 2, branch: "z9hG4bKsecond"})
		})
	}
}

func TestACallIsCanceledWhileItRings(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	m := p.invite("sip:103@phonenet", p.offer("8"))
	p.want("SIP/2.0 180")
	if _, err := n.WaitState(within(t), StateRinging); err != nil {
		t.Fatal(err)
	}
	p.send(message{method: "CANCEL", uri: m.uri, cseq: m.cseq, branch: m.branch})
	if r := p.want("SIP/2.0 200"); !strings.Contains(r.get("cseq"), "CANCEL") {
		t.Errorf("answer to CANCEL is\n%s", r.text)
	}
	r := p.want("SIP/2.0 487")
	p.send(message{method: "ACK", uri: m.uri, to: r.get("to"), cseq: m.cseq, branch: m.branch})
	c, err := n.WaitCall(within(t), func(c Call) bool { return c.State == StateEnded && c.Seen.Ack == 1 })
	if err != nil {
		t.Fatalf("%v: %+v", err, n.Calls())
	}
	if c.Reason != EndCanceled || c.Code != 487 || c.Seen.Cancel != 1 {
		t.Errorf("call is %+v", c)
	}
	p.send(message{method: "CANCEL", uri: m.uri, cseq: m.cseq + 1, branch: "z9hG4bKother"})
	p.want("SIP/2.0 481")
}

func TestAnAnswerIsRepeatedUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	n := start(t, Config{T1: 10 * time.Millisecond})
	p := newPhone(t, n)
	m := p.invite("sip:107@phonenet", p.offer("8"))
	p.want("SIP/2.0 180")
	first := p.want("SIP/2.0 200")
	again := p.want("SIP/2.0 200")
	if first.text != again.text {
		t.Errorf("the repetition differs:\n%s\n%s", first.text, again.text)
	}
	p.write(p.request(m)) // a repeated INVITE gets the last answer at once
	r := p.read()
	for strings.HasPrefix(r.first, "SIP/2.0 200") {
		r = p.read()
	}
	if !strings.HasPrefix(r.first, "BYE") { // nobody acknowledges: RFC 3261 13.3.1.4
		t.Fatalf("got %q, want BYE", r.first)
	}
	p.respond(r, "200 OK", "")
	c, err := n.WaitState(within(t), StateEnded)
	if err != nil {
		t.Fatal(err)
	}
	if c.Reason != EndNoAck || c.Seen.Retransmits != 1 {
		t.Errorf("call is %+v", c)
	}
}

func TestTheSpeakerSaysItsPhraseOnTime(t *testing.T) {
	t.Parallel()
	for _, codecName := range []string{codecPCMA, codecPCMU} {
		t.Run(codecName, func(t *testing.T) {
			t.Parallel()
			phrase := make([]int16, 1600)
			for i := range phrase {
				phrase[i] = int16(i * 20)
			}
			n := start(t, Config{Phrase: phrase, Codecs: []string{codecName}})
			p := newPhone(t, n)
			c := p.dial("101", "8 0 101")
			coding, _ := codecByName(codecName)
			var got []byte
			var first, last sound
			for i := range 12 {
				s := p.listen()
				if i == 0 {
					first = s
				}
				if s.seq != first.seq+uint16(i) || s.ts != first.ts+uint32(160*i) || s.payloadType != coding.payload {
					t.Errorf("packet %d is %d/%d pt %d", i, s.seq-first.seq, s.ts-first.ts, s.payloadType)
				}
				got, last = append(got, s.payload...), s
			}
			if took := last.at.Sub(first.at); took < 200*time.Millisecond || took > 600*time.Millisecond {
				t.Errorf("11 packets took %s", took)
			}
			for i, code := range got {
				want := coding.silence
				if i < len(phrase) {
					want = coding.encode(phrase[i])
				}
				if code != want {
					t.Fatalf("sample %d is %#x, want %#x", i, code, want)
				}
			}
			p.bye(c)
		})
	}
}

func TestEarlySoundComesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Phrase: []int16{32000}})
	p := newPhone(t, n)
	p.invite("sip:106@phonenet;ring=300ms", p.offer("8"))
	if r := p.want("SIP/2.0 183"); r.port(t) == 0 || r.get("contact") == "" {
		t.Errorf("183 is\n%s", r.text)
	}
	loud := 0
	for range 5 {
		if s := p.listen(); s.payload != strings.Repeat("\xD5", 160) {
			loud++
		}
	}
	if loud < 4 {
		t.Errorf("%d of 5 packets carry the tone", loud)
	}
	if c, err := n.WaitState(within(t), StateEarly); err != nil || c.RTP.Codec != "" && c.RTP.Codec != codecPCMA {
		t.Errorf("call is %+v, %v", c, err)
	}
	c := p.answered()
	if _, err := n.WaitState(within(t), StateConfirmed); err != nil {
		t.Fatal(err)
	}
	p.bye(c)
}

func TestTheSilentSendNothingAndTheRestSendSilence(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	c := p.dial("107", "8")
	if s, err := p.listenFor(100 * time.Millisecond); err == nil {
		t.Errorf("the silent callee sent %+v", s)
	}
	p.bye(c)
	p.newCall()
	c = p.dial("111", "8")
	if s := p.listen(); s.payload != strings.Repeat("\xD5", 160) {
		t.Errorf("comfort is %x", s.payload)
	}
	p.bye(c)
}

func TestTheCalleeHangsUp(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	p.invite("sip:105@phonenet;after=50ms", p.offer("8"))
	c := p.answered()
	bye := p.answerRequest("BYE", "")
	if !strings.Contains(bye.get("from"), tagIn(c.to)) || bye.get("call-id") != p.callID || !strings.HasPrefix(bye.first, "BYE sip:alice@") {
		t.Errorf("BYE is\n%s", bye.text)
	}
	ended, err := n.WaitState(within(t), StateEnded)
	if err != nil || ended.Reason != EndLocalBye {
		t.Errorf("call is %+v, %v", ended, err)
	}
}

func tagIn(header string) string {
	_, tag, _ := strings.Cut(header, "tag=")
	return "tag=" + tag
}

func TestTheCallerHoldsAndResumes(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	c := p.dial("111", "8")
	for _, step := range []struct {
		offer, want string
		held        bool
	}{
		{"a=sendonly", "a=recvonly", true},
		{"a=inactive", "a=inactive", true},
		{"a=sendrecv", "a=sendrecv", false},
	} {
		p.cseq++
		p.send(message{method: "INVITE", uri: c.target, to: c.to, cseq: p.cseq, body: strings.Replace(p.offer("8"), "a=sendrecv", step.offer, 1)})
		r := p.want("SIP/2.0 200")
		if !strings.Contains(r.body, step.want) {
			t.Errorf("%s is answered with\n%s", step.offer, r.body)
		}
		p.send(message{method: "ACK", uri: c.target, to: c.to, cseq: p.cseq})
		if _, err := n.WaitCall(within(t), func(c Call) bool { return c.Held == step.held && c.State == StateConfirmed }); err != nil {
			t.Errorf("after %s: %v", step.offer, err)
		}
	}
	p.cseq++
	p.send(message{method: "INVITE", uri: c.target, to: c.to, cseq: p.cseq, body: p.offer("18")})
	r := p.want("SIP/2.0 488")
	p.send(message{method: "ACK", uri: c.target, to: r.get("to"), cseq: p.cseq})
	p.cseq++
	p.send(message{method: "UPDATE", uri: c.target, to: c.to, cseq: p.cseq, body: p.offer("8")})
	if r := p.want("SIP/2.0 200"); r.body == "" {
		t.Error("UPDATE with an offer got no answer")
	}
	p.bye(c)
}

func TestTheCalleeHoldsAndResumes(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	p.invite("sip:109@phonenet;after=20ms;hold=20ms", p.offer("8"))
	c := p.answered()
	for _, step := range []struct{ want, answer string }{{"a=sendonly", "a=recvonly"}, {"a=sendrecv", "a=sendrecv"}} {
		r := p.answerRequest("INVITE", strings.Replace(p.offer("8"), "a=sendrecv", step.answer, 1))
		if !strings.Contains(r.body, step.want) {
			t.Errorf("offer is\n%s, want %s", r.body, step.want)
		}
		if ack := p.want("ACK"); ack.get("via") == r.get("via") {
			t.Error("the ACK of a 200 must be a transaction of its own")
		}
	}
	got, err := n.WaitCall(within(t), func(c Call) bool { return !c.Held && c.State == StateConfirmed })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		code, err := n.Ping(t.Context(), got.ID)
		if err != nil {
			t.Error(err)
		}
		done <- code
	}()
	p.answerRequest("OPTIONS", "")
	if code := <-done; code != 200 {
		t.Errorf("OPTIONS got %d", code)
	}
	p.bye(c)
}

func TestTheNetworkHangsUpOnOrder(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	p.dial("100", "8")
	c, err := n.WaitState(within(t), StateConfirmed)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		code, err := n.Hangup(t.Context(), c.ID)
		if err != nil {
			t.Error(err)
		}
		done <- code
	}()
	p.answerRequest("BYE", "")
	if code := <-done; code != 200 {
		t.Errorf("BYE got %d", code)
	}
	if _, err := n.Hold(within(t), c.ID); err == nil {
		t.Error("an ended call was held")
	}
}

func TestACallEndsByItself(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, number string
		cfg          Config
		want         EndReason
		first        string // what the caller sees
	}{
		{"when the caller sends no sound", "111", Config{RTPTimeout: 200 * time.Millisecond}, EndRTPSilence, "BYE"},
		{"when it lasts too long", "111", Config{MaxDuration: 100 * time.Millisecond}, EndMaxDuration, "BYE"},
		{"when it rings too long", "103", Config{RingLimit: 100 * time.Millisecond}, EndRingLimit, "SIP/2.0 480"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, test.cfg)
			p := newPhone(t, n)
			p.invite("sip:"+test.number+"@phonenet", p.offer("8"))
			if test.number == "111" {
				p.answered()
			} else {
				p.want("SIP/2.0 180")
			}
			r := p.want(test.first)
			if test.first == "BYE" {
				p.respond(r, "200 OK", "")
			}
			c, err := n.WaitState(within(t), StateEnded)
			if err != nil || c.Reason != test.want {
				t.Errorf("call is %+v, %v", c, err)
			}
		})
	}
}

func TestOffersAreAnsweredByTheBook(t *testing.T) {
	t.Parallel()
	video := "m=video 4000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	tests := []struct {
		name, offer, want string
		body              []string
	}{
		{"the first codec of the offer", "8 0 101", "SIP/2.0 200", []string{"RTP/AVP 8 101\r\n", "a=rtpmap:101 telephone-event/8000"}},
		{"the other order", "0 8", "SIP/2.0 200", []string{"RTP/AVP 0\r\n"}},
		{"an unknown codec in front", "18 8", "SIP/2.0 200", []string{"RTP/AVP 8\r\n"}},
		{"no codec in common", "18 9", "SIP/2.0 488", nil},
		{"no offer at all", "", "SIP/2.0 200", []string{"RTP/AVP 8 0 101\r\n"}},
		{"a second stream", "8|" + video, "SIP/2.0 200", []string{"m=video 0 RTP/AVP 96\r\n"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, Config{})
			p := newPhone(t, n)
			codecs, more, _ := strings.Cut(test.offer, "|")
			offer := p.offer(codecs) + more
			if codecs == "" {
				offer = ""
			}
			p.invite("sip:100@phonenet", offer)
			r := p.read()
			for strings.HasPrefix(r.first, "SIP/2.0 18") {
				r = p.read()
			}
			if !strings.HasPrefix(r.first, test.want) {
				t.Fatalf("got %q", r.first)
			}
			for _, want := range test.body {
				if !strings.Contains(r.body, want) {
					t.Errorf("%q is not in\n%s", want, r.body)
				}
			}
		})
	}
}

func TestTheAnswerMayComeWithTheACK(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	p.invite("sip:111@phonenet", "")
	p.want("SIP/2.0 180")
	r := p.want("SIP/2.0 200")
	target := strings.Trim(r.get("contact"), "<>")
	p.send(message{method: "ACK", uri: target, to: r.get("to"), cseq: p.cseq, body: p.offer("0")})
	if s := p.listen(); s.payloadType != 0 {
		t.Errorf("sound is of type %d", s.payloadType)
	}
	if c, err := n.WaitCall(within(t), func(c Call) bool { return c.RTP.Codec == codecPCMU }); err != nil {
		t.Errorf("call is %+v, %v", c, err)
	}
}

func TestRequestsThatFitNowhereAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t, Config{MaxCalls: 1})
	p := newPhone(t, n)
	c := p.dial("100", "8")

	p.send(message{method: "BYE", uri: c.target, to: "<sip:100@phonenet>;tag=stranger", cseq: 50})
	p.want("SIP/2.0 481")
	p.send(message{method: "INFO", uri: c.target, to: c.to, cseq: 1})
	p.want("SIP/2.0 500") // its CSeq is lower than the INVITE's
	p.send(message{method: "OPTIONS", uri: c.target, to: c.to, cseq: 60})
	p.want("SIP/2.0 200")

	q := newPhone(t, n)
	q.invite503(t)

	r := newPhone(t, start(t, Config{}))
	uri := "sip:100@phonenet"
	m := message{method: "INVITE", uri: uri, cseq: 1, body: r.offer("8")}
	r.send(m)
	challenge := r.want("SIP/2.0 407").get("proxy-authenticate")
	m.cseq, m.headers = 2, []string{"Require: 100rel, timer", "Proxy-Authorization: " + r.credentials(challenge, "INVITE", uri, 1)}
	r.send(m)
	if got := r.want("SIP/2.0 420"); got.get("unsupported") != "100rel" {
		t.Errorf("answer is\n%s", got.text)
	}
}

// invite503 dials when the network is full.
func (p *phone) invite503(t *testing.T) {
	t.Helper()
	uri := "sip:100@phonenet"
	m := message{method: "INVITE", uri: uri, cseq: 1, body: p.offer("8")}
	p.send(m)
	challenge := p.want("SIP/2.0 407").get("proxy-authenticate")
	m.cseq, m.headers = 2, []string{"Proxy-Authorization: " + p.credentials(challenge, "INVITE", uri, 1)}
	p.send(m)
	if r := p.want("SIP/2.0 503"); r.get("retry-after") == "" {
		t.Errorf("answer is\n%s", r.text)
	}
}

func TestAByeCanBeChallenged(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Behaviour: Behaviour{ChallengeBye: true}})
	p := newPhone(t, n)
	c := p.dial("107", "8")
	p.cseq++
	m := message{method: "BYE", uri: c.target, to: c.to, cseq: p.cseq}
	p.send(m)
	challenge := p.want("SIP/2.0 407").get("proxy-authenticate")
	m.cseq, m.headers = p.cseq+1, []string{"Proxy-Authorization: " + p.credentials(challenge, "BYE", c.target, 1)}
	p.send(m)
	p.want("SIP/2.0 200")
	ended, err := n.WaitState(within(t), StateEnded)
	if err != nil || ended.Seen.Bye != 2 {
		t.Errorf("call is %+v, %v", ended, err)
	}
}

func TestTheDigestURIMustBeTheRequestURIWhenStrict(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Behaviour: Behaviour{StrictDigestURI: true}})
	p := newPhone(t, n)
	m := message{method: "INVITE", uri: "sip:100@phonenet;user=phone", cseq: 1, body: p.offer("8")}
	p.send(m)
	challenge := p.want("SIP/2.0 407").get("proxy-authenticate")
	m.cseq, m.headers = 2, []string{"Proxy-Authorization: " + p.credentials(challenge, "INVITE", "sip:100@phonenet", 1)}
	p.send(m)
	p.want("SIP/2.0 400")
	m.cseq, m.headers = 3, []string{"Proxy-Authorization: " + p.credentials(challenge, "INVITE", m.uri, 2)}
	p.send(m)
	p.want("SIP/2.0 100")
	if c := n.Counters(); c.DigestURIMismatches != 1 {
		t.Errorf("counters are %+v", c)
	}
}

func TestHolesDigitsAndStrangersAreSeen(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	c := p.dial("107", "8 101")
	voice := make([]byte, 160)
	p.talk(c, 8, 10, 1000, voice)
	p.talk(c, 8, 11, 1160, voice)
	p.talk(c, 8, 13, 1480, voice) // 12 is late
	p.talk(c, 8, 12, 1320, voice)
	p.talk(c, 8, 13, 1480, voice) // twice
	p.talk(c, 8, 17, 2120, voice) // 14, 15, 16 never come
	for range 3 {
		p.talk(c, 101, 18, 2280, []byte{5, 0x80, 0, 160})
	}
	p.talk(c, 101, 19, 2440, []byte{11, 0x80, 0, 160})
	p.talk(c, 96, 20, 2600, voice)
	got, err := n.WaitCall(within(t), func(c Call) bool { return c.RTP.Foreign == 1 })
	if err != nil {
		t.Fatalf("%v: %+v", err, n.Calls())
	}
	r := got.RTP
	if r.Received != 7 || r.Lost != 3 || r.Duplicates != 3 || r.Reordered != 1 || r.Streams != 1 || r.Digits != "5#" || len(r.Gaps) != 2 || r.Gaps[1].After != 13 || r.Gaps[1].Missing != 3 {
		t.Errorf("RTP is %+v", r)
	}
	if r.Remote.String() != p.rtp.LocalAddr().String() {
		t.Errorf("remote is %s", r.Remote)
	}
	pcm, err := n.Heard(within(t), got.ID)
	if err != nil || len(pcm) != 160*8 || pcm[160*5] != 0 || pcm[160*7] != decodeALaw(0) {
		t.Errorf("recording has %d samples, %v", len(pcm), err)
	}
	p.bye(c)
}

func TestMoreScriptsCanBeAdded(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Scripts: map[string]Script{
		"200": func(leg *Leg) {
			for range 3 {
				leg.Provisional(183)
			}
			leg.Ring()
			leg.After(10*time.Millisecond, func() { leg.Answer(Echo()) })
		},
		"100": reject(480),
	}})
	p := newPhone(t, n)
	p.invite("sip:+49301200@phonenet", p.offer("8"))
	for range 3 {
		p.want("SIP/2.0 183")
	}
	p.want("SIP/2.0 180")
	p.bye(p.answered())
	p.newCall()
	p.invite("sip:100@phonenet", p.offer("8"))
	p.want("SIP/2.0 480")
}

func TestEndedCallsAreForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	n := start(t, Config{History: 2})
	p := newPhone(t, n)
	for i := range 4 {
		p.newCall()
		c := p.dial("107", "8")
		p.bye(c)
		if err := n.wait(within(t), func() bool { return len(n.legs) == 0 }); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if got := len(n.Calls()); got > 3 {
		t.Errorf("%d calls are remembered", got)
	}
}
