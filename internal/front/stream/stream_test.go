package stream

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/audio/wav"
	"phonesocket/internal/front/problem"
)

func TestWhatIsWrongIsSaidBeforeTheUpgrade(t *testing.T) {
	h := newHouse(t, nil)
	h.call("call_1")
	gone := h.call("call_2")
	h.hangUp(gone)
	key := "Sec-WebSocket-Key"
	tests := []struct {
		name, query string
		headers     []string
		status      int
		code, says  string
	}{
		{"an unknown format", "?format=mp3", nil, 400, "bad_query", "pcm16, ulaw, alaw or wav"},
		{"an unknown rate", "?rate=44100", nil, 400, "bad_query", "8000, 16000, 24000 or 48000"},
		{"a rate that the format does not have", "?format=ulaw&rate=16000", nil, 400, "bad_query", "8000"},
		{"a mistyped parameter", "?cal=call_1", nil, 400, "bad_query", "use call, format, rate, early"},
		{"a parameter given twice", "?call=a&call=b", nil, 400, "bad_query", "once"},
		{"an empty call", "?call=", nil, 400, "bad_query", "empty"},
		{"auto_clear of something unknown", "?auto_clear=noise", nil, 400, "bad_query", "use speech"},
		{"events on the speak port", "?events=speech", nil, 400, "bad_query", "listen port"},
		{"an unknown early", "?early=maybe", nil, 400, "bad_query", "keep or drop"},
		{"a token in the query", "?token=x", nil, 400, "bad_query", "Authorization"},
		{"a broken query", "?call=%zz", nil, 400, "bad_query", "cannot be read"},
		{"an unknown call", "?call=call_9", nil, 404, "call_not_found", "no call"},
		{"an ended call", "?call=call_2", nil, 409, "call_ended", "ended"},
		{"another path", "audio", nil, 404, "not_found", "connect to /"},
		{"a foreign origin", "", []string{"Origin", "https://evil.example"}, 403, "foreign_origin", "another origin"},
		{"a foreign host", "", []string{"Host", "evil.example"}, 403, "unknown_host", "PUBLIC_URL_HOST"},
		{"an origin that is no page", "", []string{"Origin", "null"}, 403, "foreign_origin", "another origin"},
		{"plain HTTP", "", []string{"Upgrade", "", "Connection", ""}, 426, "upgrade_required", "ws://"},
		{"an old version", "", []string{"Sec-WebSocket-Version", "8"}, 426, "websocket_version", "13"},
		{"a short key", "", []string{key, "abc"}, 400, "bad_handshake", key},
		{"a key that is no base64", "", []string{key, "!!!!!!!!!!!!!!!!!!!!!!=="}, 400, "bad_handshake", key},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p, header := h.refused(h.speak, c.query, c.headers...)
			if p.Status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.says) {
				t.Errorf("got %d %s %q, want %d %s with %q", p.Status, p.Code, p.Detail, c.status, c.code, c.says)
			}
			if c.status == 426 && (header.Get("Upgrade") != "websocket" || header.Get("Sec-WebSocket-Version") != "13") {
				t.Errorf("headers %v do not say how to upgrade", header)
			}
		})
	}
	if p, _ := h.refused(h.listen, "?early=drop"); p.Status != 400 || !strings.Contains(p.Detail, "speak port") {
		t.Errorf("early on the listen port: %d %q", p.Status, p.Detail)
	}
	if p, _ := h.refused(h.listen, "?call=call_2"); p.Status != 409 {
		t.Errorf("listening to an ended call: %d, want 409", p.Status)
	}
	req, err := http.NewRequest(http.MethodPost, h.speak.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if p, header := h.do(req); p.Status != 405 || header.Get("Allow") != "GET" {
		t.Errorf("POST: %d with Allow %q, want 405 with GET", p.Status, header.Get("Allow"))
	}
}

func TestARefusalOfAuthorizeIsTheAnswer(t *testing.T) {
	h := newHouse(t, func(c *Config) {
		c.Authorize = func(*http.Request) error {
			p := problem.New(http.StatusForbidden, "unknown_host", "Not under this name.")
			p.Header = http.Header{"X-Why": {"dns"}}
			return fmt.Errorf("check: %w", p)
		}
	})
	p, header := h.refused(h.speak, "")
	if p.Status != 403 || p.Code != "unknown_host" || header.Get("X-Why") != "dns" || header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %+v with %v", p, header)
	}
}

func TestWithoutTheTokenNobodyGetsIn(t *testing.T) {
	h := newHouse(t, func(c *Config) {
		c.Authorize = func(r *http.Request) error {
			if r.Header.Get("Authorization") != "Bearer secret" {
				return errors.New("send the header Authorization: Bearer with the token")
			}
			return nil
		}
	})
	for _, query := range []string{"", "?call=call_1", "?format=mp3", "?token=secret"} {
		p, header := h.refused(h.listen, query)
		if p.Status != 401 || header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d %q, want 401", query, p.Status, p.Detail)
		}
	}
	if p, _ := h.refused(h.listen, "?call=call_1", "Authorization", "Bearer secret"); p.Status != 404 {
		t.Errorf("with the token: %d, want 404 for the unknown call", p.Status)
	}
}

func TestACallCarriesSpeechBothWays(t *testing.T) {
	h := newHouse(t, nil)
	p := h.call("call_1")
	s := h.connect(h.speak, "?call=call_1&format=ulaw")
	l := h.connect(h.listen, "?call=call_1&format=ulaw")
	want := map[string]any{
		"type": "start", "call": "call_1", "direction": "outbound", "from": "+4930", "to": "+4940",
		"format": "ulaw", "rate": 8000.0, "channels": 1.0, "frame_ms": 20.0,
	}
	for _, c := range []*client{s, l} {
		got := c.wantText("start")
		delete(got, "codec")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("start (-want +got):\n%s", diff)
		}
	}
	s.speak(0x31, 3) // before the answer: kept
	s.settled()
	p.answer()
	for _, c := range []*client{s, l} {
		c.wantText("ringing")
		c.wantText("answered")
	}
	for range 3 {
		p.wantHeard(0x31)
	}
	p.say(0x52)
	l.wantHeard(0x52)
	s.speak(0x32, 1)
	p.wantHeard(0x32)
	s.send(ws.OpText, []byte(`{"type":"mark","name":"here"}`))
	if got := s.wantText("mark"); got["name"] != "here" || got["played_ms"].(float64) < 80 {
		t.Errorf("mark %v, want here with the 80 ms spoken", got)
	}
	h.hangUp(p)
	for _, c := range []*client{s, l} {
		if got := c.wantText("end"); got["status"] != "completed" || got["reason"] != "remote_bye" || got["sip_code"] != 200.0 {
			t.Errorf("end %v", got)
		}
		c.wantClose(1000)
	}
}

func TestASecondSpeakerIsRefusedUntilTheFirstHasGone(t *testing.T) {
	h := newHouse(t, nil)
	h.call("call_1")
	first := h.connect(h.speak, "?call=call_1")
	first.wantText("start")
	for _, query := range []string{"?call=call_1", ""} { // the line carries this call, so its speaker is taken too
		if p, _ := h.refused(h.speak, query); p.Status != 409 || p.Code != "speaker_taken" {
			t.Errorf("%q: %d %s, want 409 speaker_taken", query, p.Status, p.Code)
		}
	}
	first.send(ws.OpClose, []byte{0x03, 0xe8})
	first.want(ws.OpClose)
	h.untilConnected(h.speak.URL, "?call=call_1").wantText("start")
}

func TestTheLineHasOneSpeaker(t *testing.T) {
	h := newHouse(t, nil)
	first := h.connect(h.speak, "?format=ulaw")
	if p, _ := h.refused(h.speak, ""); p.Status != 409 || p.Code != "speaker_taken" {
		t.Errorf("%d %s, want 409 speaker_taken", p.Status, p.Code)
	}
	h.call("call_1")
	first.wantText("start")
	if p, _ := h.refused(h.speak, "?call=call_1"); p.Status != 409 {
		t.Errorf("a speaker of the call that the line carries: %d, want 409", p.Status)
	}
	h.call("call_2")
	h.connect(h.speak, "?call=call_2").wantText("start")
	first.conn.Close()
	h.untilConnected(h.speak.URL, "").wantText("start")
}

// untilConnected tries until a place that is about to become free is free.
func (h *house) untilConnected(url, query string) *client {
	h.t.Helper()
	for end := time.Now().Add(patience); ; {
		conn, br, _, err := ws.Dial(h.t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/"+query)
		if err == nil {
			h.t.Cleanup(func() { conn.Close() })
			c := &client{t: h.t, conn: conn, in: conn}
			if br != nil {
				c.in = br
			}
			return c
		}
		if time.Now().After(end) {
			h.t.Fatalf("the place does not become free: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTheLineCarriesOneCallAfterTheOther(t *testing.T) {
	h := newHouse(t, nil)
	s := h.connect(h.speak, "?format=ulaw")
	l := h.connect(h.listen, "?format=ulaw")
	s.speak(0x41, 2) // there is no call yet
	s.settled()

	one := h.call("call_1")
	l.wantText("start")
	one.ring()
	one.say(0x51)
	l.wantHeard(0x51) // early media
	one.answer()
	one.wantHeard(0x41)
	one.wantHeard(0x41)

	two := h.call("call_2") // while the first runs: not for the line
	two.answer()
	two.say(0x52)
	one.say(0x53)
	l.wantHeard(0x53)
	h.hangUp(one)
	if got := l.wantText("end"); got["call"] != "call_1" {
		t.Errorf("end of %v, want call_1", got["call"])
	}
	s.wantText("end")
	two.say(0x54)
	s.speak(0x42, 1) // for the next call, not for the second
	s.settled()

	three := h.call("call_3")
	for _, c := range []*client{s, l} {
		if got := c.wantText("start"); got["call"] != "call_3" {
			t.Errorf("start of %v, want call_3", got["call"])
		}
	}
	three.answer()
	three.wantHeard(0x42)
	three.say(0x55)
	l.wantHeard(0x55)
	h.hangUp(two)
	three.say(0x56)
	l.wantHeard(0x56)
	h.hangUp(three)
	l.wantText("end")
	l.settled() // still open
}

func TestAWAVStreamOnTheLineRunsOnIntoTheNextCall(t *testing.T) {
	h := newHouse(t, nil)
	s := h.connect(h.speak, "") // pcm16 at 16 kHz, but for the header
	l := h.connect(h.listen, "")
	head := wav.Header(8000, 8, 1, wav.Unknown)
	head[20] = 7 // mu-law
	one := h.call("call_1")
	one.answer()
	s.send(ws.OpBinary, head)
	s.speak(0x31, 2)
	one.wantHeard(0x31)
	h.hangUp(one)
	l.wantText("end")
	s.speak(0x32, 2) // between the calls
	s.settled()
	two := h.call("call_2")
	two.answer()
	two.wantHeard(0x32)
	s.speak(0x33, 2)
	two.wantHeard(0x33)
	h.hangUp(two)
	three := h.call("call_3")
	l.wantText("end")
	three.answer()
	s.speak(0x34, 2) // nothing was said in between
	three.wantHeard(0x34)
}

func TestEarlyDropSpeaksOnlyWhatComesAfterTheAnswer(t *testing.T) {
	h := newHouse(t, nil)
	s := h.connect(h.speak, "?format=ulaw&early=drop")
	s.speak(0x41, 3)
	s.settled()
	p := h.call("call_1")
	s.wantText("start")
	s.speak(0x42, 3)
	s.settled()
	p.answer()
	s.wantText("answered")
	s.speak(0x43, 1)
	s.settled()
	buf := make([]byte, 2000)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 172 && (buf[100] == 0x41 || buf[100] == 0x42) {
			t.Fatalf("the phone heard %#x", buf[100])
		}
		if n == 172 && buf[100] == 0x43 {
			break
		}
	}
}

func TestWhoListensLateHearsTheBeginning(t *testing.T) {
	h := newHouse(t, nil)
	p := h.call("call_1")
	p.answer()
	for i := range 10 {
		p.say(byte(0x20 + i))
	}
	deadline := time.Now().Add(patience)
	for {
		s, err := p.media.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.RTPPacketsReceived == 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d packets received, want 10", s.RTPPacketsReceived)
		}
	}
	l := h.connect(h.listen, "?call=call_1&format=ulaw")
	l.wantText("answered")
	for i := range 10 {
		if got := l.want(ws.OpBinary); !bytes.Equal(got, bytes.Repeat([]byte{byte(0x20 + i)}, 160)) {
			t.Fatalf("message %d begins with %#x, want %#x", i, got[0], 0x20+i)
		}
	}
}

func TestAListenerOfTheLineThatComesDuringACallHearsIt(t *testing.T) {
	h := newHouse(t, nil)
	p := h.call("call_1") // before anybody is on the line
	p.answer()
	l := h.connect(h.listen, "?format=ulaw")
	l.wantText("start")
	l.wantText("answered")
	p.say(0x61)
	l.wantHeard(0x61)
}

func TestTheEndOfTheServerClosesEverySocket(t *testing.T) {
	h := newHouse(t, nil)
	h.call("call_1")
	bound := h.connect(h.listen, "?call=call_1")
	waiting := h.connect(h.speak, "")
	bound.wantText("start")
	done := make(chan struct{})
	go func() {
		h.stop()
		close(done)
	}()
	bound.wantClose(1001)
	waiting.wantClose(1001)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
}

func TestAfterTheEndNewSocketsAreRefused(t *testing.T) {
	h := newHouse(t, nil)
	h.server.mu.Lock()
	h.server.closed = true
	h.server.mu.Unlock()
	for range 2 { // the second sees that the first left nothing reserved
		if p, _ := h.refused(h.speak, ""); p.Status != 503 {
			t.Errorf("status %d, want 503", p.Status)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("call=call_1&events=speech&auto_clear=speech")
	f.Add("call=call_1&format=pcm16&rate=16000&early=keep")
	f.Add("format=ulaw&rate=%38000")
	f.Add("call=%zz;&&==")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, 0)
		if err == nil && q.format.Check() != nil {
			t.Errorf("accepted the format %+v", q.format)
		}
	})
}
