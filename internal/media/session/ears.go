package session

import (
	"slices"
	"time"

	"phonesocket/internal/audio/conceal"
	"phonesocket/internal/audio/wav"
	"phonesocket/internal/media/playout"
)

// keptAtAnswer is how much of the backlog survives the answer: the callee may
// be heard a moment before the answer is, but ringing tones are of no use.
const keptAtAnswer = time.Second

// ears are the listeners of a call and what is prepared for them.
type ears struct {
	list  []ear
	pipes []*pipe
	busy  int // listeners are being called: list and pipes keep their order

	joined      bool         // there was a listener
	backlog     playout.FIFO // what was heard before the first one came, in the form of the codec
	forgottenMS int64        // of it that were thrown away

	heard, concealed, paused int // in ticks of the RTP clock

	conceal *conceal.Concealer // nil until the codec is known
	mend    int                // samples after a hole that may be changed
	comfort comfort
	in      [3]*decoder // of the payload types that were heard
	now     *decoder    // the one that is being heard
	pcm     [wideFrame]int16
	bytes   [2 * wideFrame]byte
}

// ear is one listener.
type ear struct {
	who    Listener // nil when it left while listeners are being called
	format Format
	pipe   *pipe
}

// Join adds a listener: it gets KindStart and the state of the call, the WAV
// header if it wants one, what was heard before the first listener came, and
// then one message every 20 ms. A format that Check refuses is taken as the
// default.
func (s *Session) Join(_ time.Time, l Listener, f Format) {
	if f.Check() != nil {
		f = Format{Encoding: PCM16, Rate: 16000}
	}
	s.greet(l.Event, f)
	if s.ended {
		l.Event(s.event(Event{Kind: KindEnd}, f))
		return
	}
	e := &s.ears
	p := e.pipe(f, s.codec)
	p.users++
	e.list = append(e.list, ear{who: l, format: f, pipe: p})
	s.attend()
	if f.WAV {
		l.Audio(wav.Header(f.Rate, 16, 1, wav.Unknown))
	}
	if e.joined {
		return
	}
	e.joined = true
	for e.backlog.Len() > 0 {
		piece := e.bytes[:e.backlog.Read(e.bytes[:FrameMS*s.codec.bytesPerMS()])]
		e.feed(p, s.codec.encoding.decode(e.pcm[:], piece), piece, s.codec)
	}
}

// Leave removes a listener; unknown ones are ignored.
func (s *Session) Leave(_ time.Time, l Listener) {
	e := &s.ears
	for i := range e.list {
		if e.list[i].who == l {
			e.list[i].who = nil
			e.list[i].pipe.users--
		}
	}
	e.tidy()
	s.attend()
}

// tidy forgets listeners that left and formats that nobody wants any more.
func (e *ears) tidy() {
	if e.busy > 0 {
		return
	}
	e.list = slices.DeleteFunc(e.list, func(x ear) bool { return x.who == nil })
	e.pipes = slices.DeleteFunc(e.pipes, func(p *pipe) bool { return p.users == 0 })
}

// close forgets all listeners.
func (e *ears) close() {
	for i := range e.list {
		e.list[i].who = nil
		e.list[i].pipe.users = 0
	}
	e.tidy()
	e.backlog.Truncate(0)
}

// answered forgets most of what was heard before the answer.
func (e *ears) answered(c codec) {
	keep := int(keptAtAnswer.Milliseconds()) * c.bytesPerMS()
	if n := e.backlog.Len() - keep; n > 0 {
		e.backlog.Skip(n)
		e.forgottenMS += int64(n / c.bytesPerMS())
	}
}

func (e *ears) each(fn func(Listener, Format)) {
	e.busy++
	for i := range e.list {
		if l := e.list[i].who; l != nil {
			fn(l, e.list[i].format)
		}
	}
	e.busy--
	e.tidy()
}
