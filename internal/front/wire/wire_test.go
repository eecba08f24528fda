package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/session"
)

// heard writes down the commands of a client.
type heard struct{ got []string }

func (h *heard) Mark(name string) { h.got = append(h.got, "mark "+name) }
func (h *heard) Clear()           { h.got = append(h.got, "clear") }

func TestTextsOfClientsAreRead(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		code       string
	}{
		{"a mark", `{"type":"mark","name":"a b"}`, []string{"mark a b"}, ""},
		{"a clear", `{"type":"clear"}`, []string{"clear"}, ""},
		{"unknown fields are ignored", ` {"x":[1,{}],"type":"clear","name":null} `, []string{"clear"}, ""},
		{"an escaped name", `{"type":"mark","name":"\u00fc\n"}`, []string{"mark ü\n"}, ""},
		{"a mark without a name", `{"type":"mark"}`, nil, CodeBadName},
		{"a name that is too long", `{"type":"mark","name":"` + strings.Repeat("n", MaxName+1) + `"}`, nil, CodeBadName},
		{"a name at the limit", `{"type":"mark","name":"` + strings.Repeat("n", MaxName) + `"}`, []string{"mark " + strings.Repeat("n", MaxName)}, ""},
		{"a name that is a number", `{"type":"mark","name":1}`, nil, CodeBadJSON},
		{"an unknown type", `{"type":"stop"}`, nil, CodeUnknownType},
		{"no type", `{}`, nil, CodeUnknownType},
		{"no JSON", `clear`, nil, CodeBadJSON},
		{"an array", `["clear"]`, nil, CodeBadJSON},
		{"nothing", ``, nil, CodeBadJSON},
		{"two objects", `{"type":"clear"}{"type":"clear"}`, nil, CodeBadJSON},
		{"too long", `{"type":"clear","x":"` + strings.Repeat("x", MaxMessage) + `"}`, nil, CodeTooLong},
		{"deeply nested", strings.Repeat(`{"type":`, 2000), nil, CodeBadJSON},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			var to heard
			err := JSON{}.Parse(&to, []byte(c.text))
			if diff := cmp.Diff(c.want, to.got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			var code string
			if bad, ok := errors.AsType[*engine.TextError](err); ok {
				code = bad.Code
			}
			if code != c.code || (err != nil) != (c.code != "") {
				t.Errorf("error %v with code %q, want code %q", err, code, c.code)
			}
		})
	}
}

func TestEventsAreWrittenAsDocumented(t *testing.T) {
	of := session.Event{Call: "call_1", From: "+4930", To: "+4940", Direction: "outbound"}
	with := func(change func(*session.Event)) session.Event {
		e := of
		change(&e)
		return e
	}
	tests := []struct {
		event session.Event
		want  string
	}{
		{
			with(func(e *session.Event) {
				e.Kind, e.Codec = session.KindStart, "PCMA"
				e.Format = session.Format{Encoding: session.PCM16, Rate: 16000}
			}),
			`{"type":"start","call":"call_1","direction":"outbound","from":"+4930","to":"+4940","format":"pcm16","rate":16000,"channels":1,"frame_ms":20,"codec":"PCMA"}`,
		},
		{
			with(func(e *session.Event) {
				e.Kind, e.Format = session.KindStart, session.Format{Encoding: session.ULaw, Rate: 8000}
			}),
			`{"type":"start","call":"call_1","direction":"outbound","from":"+4930","to":"+4940","format":"ulaw","rate":8000,"channels":1,"frame_ms":20}`,
		},
		{with(func(e *session.Event) { e.Kind = session.KindRinging }), `{"type":"ringing","call":"call_1"}`},
		{with(func(e *session.Event) { e.Kind, e.Codec = session.KindAnswered, "PCMU" }), `{"type":"answered","call":"call_1","codec":"PCMU"}`},
		{with(func(e *session.Event) { e.Kind = session.KindHeld }), `{"type":"held","call":"call_1"}`},
		{with(func(e *session.Event) { e.Kind = session.KindResumed }), `{"type":"resumed","call":"call_1"}`},
		{with(func(e *session.Event) { e.Kind, e.Name, e.PlayedMS = session.KindMark, "a\"\\\n", 40 }), `{"type":"mark","call":"call_1","name":"a\"\\\u000a","played_ms":40}`},
		{with(func(e *session.Event) { e.Kind, e.Name, e.Cleared = session.KindMark, "b", true }), `{"type":"mark","call":"call_1","name":"b","played_ms":0,"cleared":true}`},
		{with(func(e *session.Event) { e.Kind, e.PlayedMS, e.DiscardedMS = session.KindCleared, 20, 60 }), `{"type":"cleared","call":"call_1","played_ms":20,"discarded_ms":60}`},
		{with(func(e *session.Event) { e.Kind, e.Name, e.Underruns = session.KindMark, "c", 2 }), `{"type":"mark","call":"call_1","name":"c","played_ms":0,"underruns":2}`},
		{with(func(e *session.Event) { e.Kind, e.Reason = session.KindCleared, "speech" }), `{"type":"cleared","call":"call_1","played_ms":0,"discarded_ms":0,"reason":"speech"}`},
		{with(func(e *session.Event) { e.Kind, e.HeardMS = session.KindSpeechStarted, 7 }), `{"type":"speech.started","call":"call_1","heard_ms":7}`},
		{with(func(e *session.Event) { e.Kind, e.HeardMS = session.KindSpeechStopped, 9 }), `{"type":"speech.stopped","call":"call_1","heard_ms":9}`},
		{session.Event{Kind: session.KindError, Code: "dropped", Message: "m", DiscardedMS: 20}, `{"type":"error","code":"dropped","message":"m","discarded_ms":20}`},
		{
			with(func(e *session.Event) {
				e.Kind, e.Status, e.Reason, e.SIPCode, e.DurationMS, e.PlayedMS, e.Underruns = session.KindEnd, "busy", "busy", 486, 1, 2, 3
				e.DiscardedMS, e.Quality = 5, session.Quality{PacketsLost: 4, JitterMS: 1.5, RoundTripMS: 41.25, MOS: 4.401}
			}),
			`{"type":"end","call":"call_1","status":"busy","reason":"busy","sip_code":486,"duration_ms":1,"played_ms":2,"discarded_ms":5,"underruns":3,"packets_lost":4,"jitter_ms":1.5,"round_trip_ms":41.25,"mos":4.4}`,
		},
		{with(func(e *session.Event) { e.Kind = session.KindEnd }), `{"type":"end","call":"call_1","duration_ms":0,"played_ms":0,"discarded_ms":0,"underruns":0}`},
	}
	for _, c := range tests {
		got, ok := JSON{}.AppendEvent([]byte("x"), c.event)
		if !ok || string(got) != "x"+c.want {
			t.Errorf("%v:\n got %s\nwant x%s", c.event.Kind, got, c.want)
		}
	}
	if got, ok := (JSON{}).AppendEvent(nil, session.Event{Kind: 200}); ok {
		t.Errorf("an unknown kind became %s", got)
	}
}

func TestWritingAnEventAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 1024)
	e := session.Event{Kind: session.KindMark, Call: "call_1", Name: "ü", PlayedMS: 1}
	if n := testing.AllocsPerRun(100, func() { buf, _ = JSON{}.AppendEvent(buf[:0], e) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"type":"mark","name":"a"}`)
	f.Add(`{"type":"clear"}`)
	f.Add(`{"type":"mark","name":"\ud800"}`)
	f.Add(`[[[[`)
	f.Fuzz(func(t *testing.T, text string) {
		var to heard
		err := JSON{}.Parse(&to, []byte(text))
		if (err == nil) != (len(to.got) == 1) {
			t.Errorf("error %v with commands %q", err, to.got)
		}
	})
}

func FuzzAppendEvent(f *testing.F) {
	f.Add(uint8(5), "name", "code", int64(3))
	f.Add(uint8(7), "\xff\x00\x1f", "\u2028\"", int64(-1))
	f.Fuzz(func(t *testing.T, kind uint8, name, code string, ms int64) {
		e := session.Event{
			Kind: session.Kind(kind), Name: name, Code: code, Call: code, From: name, To: code,
			Message: name, PlayedMS: ms, DiscardedMS: ms, Status: code, Reason: name, SIPCode: int(int16(ms)),
		}
		text, ok := JSON{}.AppendEvent(nil, e)
		if !ok {
			return
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Errorf("not valid: %q", text)
		}
		var back struct{ Name string }
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if e.Kind == session.KindMark && back.Name != strings.ToValidUTF8(name, "\ufffd") && utf8.ValidString(name) {
			t.Errorf("name %q came back as %q", name, back.Name)
		}
	})
}
