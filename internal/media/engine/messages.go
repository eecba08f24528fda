package engine

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"phonesocket/internal/media/session"
)

// listener is a Conn as its session sees it when it listens.
type listener Conn

// Audio queues one message for the client.
func (l *listener) Audio(frame []byte) {
	c := (*Conn)(l)
	kind := outAudio
	if c.joining { // a WAV header, and what was heard before anybody listened
		kind = outKept
	}
	if dropped, _ := c.out.put(kind, frame); dropped > 0 {
		c.dropped.Add(dropped)
		if c.media != nil {
			c.media.missed.Add(dropped)
		}
	}
	c.carrier.push()
}

// Event tells the client.
func (l *listener) Event(e session.Event) { (*Conn)(l).event(e) }

// speaker is a Conn as its session sees it when it speaks.
type speaker Conn

// Event tells the client.
func (s *speaker) Event(e session.Event) { (*Conn)(s).event(e) }

// binary takes a piece of audio from the client.
func (c *Conn) binary(piece []byte) {
	switch {
	case c.state != connOpen:
	case c.cfg.Role == Listen:
		c.wrongSocket("audio to be spoken belongs on the speak port; this socket only listens")
	case c.media != nil:
		c.media.session.Speak(c.now, piece)
	default:
		if lost := c.early.write(piece); lost > 0 {
			c.earlyLost(lost)
		}
	}
}

// text takes a text message from the client.
func (c *Conn) text(message []byte) {
	if c.state != connOpen {
		return
	}
	err := c.cfg.Dialect.Parse((*commands)(c), message)
	if err == nil {
		return
	}
	e := session.Event{Kind: session.KindError, Code: CodeBadMessage, Message: err.Error()}
	if bad, ok := errors.AsType[*TextError](err); ok {
		e.Code, e.Message = bad.Code, bad.Message
	}
	c.event(e)
}

func (c *Conn) ping(payload []byte) {
	c.out.answerPing(payload)
	c.carrier.push()
}

// pong needs nothing more: that bytes came is the sign of life.
func (c *Conn) pong([]byte) {}

// closed answers the close frame of the client.
//
// "If an endpoint receives a Close frame and did not previously send a Close frame, the
// endpoint MUST send a Close frame in response." RFC 6455 section 5.5.1.
func (c *Conn) closed(code ws.StatusCode, _ []byte) {
	if c.state == connOpen {
		c.leave(c.now)
		c.state = connClosing
		c.closeBy(c.now.Add(c.engine.cfg.CloseTimeout))
	}
	c.out.answerClose(code)
	c.carrier.push()
}

// wrongSocket tells a client, at most once a second, that it uses the wrong port.
func (c *Conn) wrongSocket(message string) {
	if c.now.Sub(c.early.toldAt) < tellEvery {
		return
	}
	c.early.toldAt = c.now
	c.event(session.Event{Kind: session.KindError, Code: CodeWrongSocket, Message: message})
}

// earlyLost tells a client, at most once a second, that speech did not fit while no call was there.
func (c *Conn) earlyLost(ms int64) {
	c.early.untoldMS += ms
	if c.now.Sub(c.early.toldAt) < tellEvery {
		return
	}
	lost := c.early.untoldMS
	c.early.toldAt, c.early.untoldMS = c.now, 0
	c.event(session.Event{
		Kind: session.KindError, Code: session.CodeEarlyFull, DiscardedMS: lost,
		Message: "no call yet: the oldest audio was thrown away; raise SPEAK_EARLY_LIMIT, send later, or connect with early=drop",
	})
}

// commands is a Conn as its dialect sees it.
type commands Conn

// Mark remembers a position in the speech.
func (s *commands) Mark(name string) {
	c := (*Conn)(s)
	switch {
	case c.cfg.Role == Listen:
		c.wrongSocket("mark belongs on the speak port; this socket only listens")
	case c.media != nil:
		c.media.session.Mark(c.now, name)
	case !c.early.mark(name):
		c.event(session.Event{
			Kind: session.KindError, Code: session.CodeMarks, Name: name,
			Message: "too many marks wait for a call",
		})
	}
}

// Clear throws away what was not spoken yet.
func (s *commands) Clear() {
	c := (*Conn)(s)
	switch {
	case c.cfg.Role == Listen:
		c.wrongSocket("clear belongs on the speak port; this socket only listens")
	case c.media != nil:
		c.media.session.Clear(c.now)
	default:
		discarded, marks := c.early.clear()
		for _, name := range marks {
			c.event(session.Event{Kind: session.KindMark, Name: name, Cleared: true})
		}
		c.event(session.Event{Kind: session.KindCleared, DiscardedMS: discarded})
	}
}

// event sends a text message.
func (c *Conn) event(e session.Event) {
	text, ok := c.cfg.Dialect.AppendEvent(c.scratch[:0], e)
	c.scratch = text[:0]
	if !ok {
		return
	}
	if _, ok := c.out.put(outText, text); !ok {
		c.drowned = true
	}
	c.carrier.push()
}

// droppedText returns the text frame that tells of dropped audio, or nothing when the dialect has none.
func (c *Conn) droppedText(frames uint64) []byte {
	ms := int64(frames) * session.FrameMS
	text, ok := c.cfg.Dialect.AppendEvent(nil, session.Event{
		Kind: session.KindError, Code: CodeDropped, DiscardedMS: ms,
		Message: fmt.Sprintf("%d ms of audio were lost because this socket is read too slowly", ms),
	})
	if !ok {
		return nil
	}
	return appendText(nil, text)
}
