// Package wire is the language of the text messages on the audio sockets.
//
// Binary messages are audio and never come through here. Text messages are one JSON object each,
// with a type. From the gateway, on both sockets unless said otherwise:
//
//	{"type":"start","call":"call_…","direction":"outbound","from":"…","to":"…","format":"pcm16",
//	 "rate":16000,"channels":1,"frame_ms":20,"codec":"PCMA"}
//	                       first message of each call; codec is missing until it is known
//	{"type":"ringing","call":"call_…"}
//	{"type":"answered","call":"call_…","codec":"PCMA"}
//	{"type":"held","call":"call_…"}        the callee does not hear us for a while
//	{"type":"resumed","call":"call_…"}
//	{"type":"mark","call":"call_…","name":"…","played_ms":1200}
//	                       speak only: everything before the mark was spoken; with "cleared":true it
//	                       was thrown away by a clear; here and in cleared, "underruns" tells how often
//	                       speech was interrupted because it came too late, when it was
//	{"type":"cleared","call":"call_…","played_ms":1200,"discarded_ms":300}
//	                       speak only: the answer to clear, or with "reason":"speech" what auto_clear did
//	{"type":"speech.started","call":"call_…","heard_ms":5400}
//	{"type":"speech.stopped","call":"call_…","heard_ms":7900}
//	                       only when asked for: the callee begins, ends to speak
//	{"type":"error","call":"call_…","code":"…","message":"…","discarded_ms":40}
//	                       the connection stays; code is for machines; discarded_ms is there when audio
//	                       was lost; code "dropped": a listener reads too slowly
//	{"type":"end","call":"call_…","status":"completed","reason":"remote_bye","sip_code":200,
//	 "duration_ms":9000,"played_ms":8000,"discarded_ms":0,"underruns":0,"packets_lost":3,"jitter_ms":1.2,
//	 "round_trip_ms":41.5,"mos":4.38}
//	                       last message of each call; sip_code is missing when there was none, and the
//	                       last four, about what was heard, when nothing was; round_trip_ms needs RTCP
//
// From the client, on the speak socket:
//
//	{"type":"mark","name":"…"}     tell me when the audio I sent so far was spoken; name has 1 to 256 bytes
//	{"type":"clear"}               throw away what I sent and was not spoken yet
//
// Unknown fields are ignored; unknown types are answered by an error, and nothing else happens. More
// fields and types may come with time: a client ignores what it does not know.
package wire

import (
	"encoding/json"
	"fmt"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/session"
)

// Limits of what a client sends, in bytes.
const (
	// MaxMessage is the longest text message.
	MaxMessage = 16 << 10
	// MaxName is the longest name of a mark.
	MaxName = 256
)

// Codes of the errors that a client gets for its texts.
const (
	CodeTooLong     = "message_too_long"
	CodeBadJSON     = "bad_json"
	CodeUnknownType = "unknown_type"
	CodeBadName     = "bad_name"
)

// JSON is the language described in the comment of this package. It holds no state.
type JSON struct{}

var _ engine.Dialect = JSON{}

// Parse reads one text of a client and gives the command in it to to. Its errors are *engine.TextError.
func (JSON) Parse(to engine.Commands, message []byte) error {
	if len(message) > MaxMessage {
		return refuse(CodeTooLong, "a text message may have %d bytes at most; audio goes into binary messages", MaxMessage)
	}
	var in struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(message, &in); err != nil {
		return refuse(CodeBadJSON, `not a JSON object with string fields: send {"type":"clear"} or {"type":"mark","name":"a"}; audio goes into binary messages`)
	}
	switch in.Type {
	case "mark":
		if in.Name == "" || len(in.Name) > MaxName {
			return refuse(CodeBadName, "a mark needs a name of 1 to %d bytes", MaxName)
		}
		to.Mark(in.Name)
	case "clear":
		to.Clear()
	default:
		return refuse(CodeUnknownType, "type %.40q is unknown: use mark or clear", in.Type)
	}
	return nil
}

func refuse(code, format string, args ...any) *engine.TextError {
	return &engine.TextError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AppendEvent appends the text that tells e. It allocates nothing when dst has room.
func (JSON) AppendEvent(dst []byte, e session.Event) ([]byte, bool) {
	o := object{dst: append(dst, `{"type":`...)}
	o.dst = appendString(o.dst, e.Kind.String())
	o.text("call", e.Call)
	switch e.Kind {
	case session.KindStart:
		o.start(&e)
	case session.KindRinging, session.KindHeld, session.KindResumed:
	case session.KindAnswered:
		o.text("codec", e.Codec)
	case session.KindMark:
		o.text("name", e.Name)
		o.number("played_ms", e.PlayedMS)
		if e.Cleared {
			o.raw("cleared", "true")
		}
		o.underruns(&e)
	case session.KindCleared:
		o.number("played_ms", e.PlayedMS)
		o.number("discarded_ms", e.DiscardedMS)
		o.text("reason", e.Reason)
		o.underruns(&e)
	case session.KindSpeechStarted, session.KindSpeechStopped:
		o.number("heard_ms", e.HeardMS)
	case session.KindError:
		o.text("code", e.Code)
		o.text("name", e.Name)
		o.text("message", e.Message)
		if e.DiscardedMS > 0 {
			o.number("discarded_ms", e.DiscardedMS)
		}
	case session.KindEnd:
		o.end(&e)
	default:
		return dst, false
	}
	return append(o.dst, '}'), true
}

func (o *object) start(e *session.Event) {
	o.text("direction", e.Direction)
	o.text("from", e.From)
	o.text("to", e.To)
	o.text("format", e.Format.Name())
	o.number("rate", int64(e.Format.Rate))
	o.number("channels", 1)
	o.number("frame_ms", session.FrameMS)
	o.text("codec", e.Codec)
}

// underruns is told when there were any.
func (o *object) underruns(e *session.Event) {
	if e.Underruns > 0 {
		o.number("underruns", int64(e.Underruns))
	}
}

func (o *object) end(e *session.Event) {
	o.text("status", e.Status)
	o.text("reason", e.Reason)
	if e.SIPCode > 0 {
		o.number("sip_code", int64(e.SIPCode))
	}
	o.number("duration_ms", e.DurationMS)
	o.number("played_ms", e.PlayedMS)
	o.number("discarded_ms", e.DiscardedMS)
	o.number("underruns", int64(e.Underruns))
	if e.MOS == 0 {
		return
	}
	o.number("packets_lost", int64(e.PacketsLost))
	o.decimal("jitter_ms", e.JitterMS)
	if e.RoundTripMS > 0 {
		o.decimal("round_trip_ms", e.RoundTripMS)
	}
	o.decimal("mos", e.MOS)
}
