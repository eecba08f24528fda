package session

import (
	"encoding/binary"
	"slices"
	"time"

	"phonesocket/internal/audio/resample"
	"phonesocket/internal/audio/wav"
	"phonesocket/internal/media/playout"
	"phonesocket/internal/media/reorder"
)

// keptAtAnswer is how much of the backlog survives the answer: the callee may
// be heard a moment before the answer is, but ringing tones are of no use.
const keptAtAnswer = time.Second

// ears are the listeners of a call and what is prepared for them.
type ears struct {
	list  []ear
	pipes []*pipe
	busy  int // listeners are being called: list and pipes keep their order

	joined    bool         // there was a listener
	backlog   playout.FIFO // what was heard before the first one came, in wire bytes
	forgotten int          // bytes of it that were thrown away

	heard, concealed, paused int // samples

	conceal concealer
	pcm     [wireFrame]int16 // the piece that is being heard
	decoded bool             // pcm is up to date
	wire    [maxPayload]byte
	piece   [wireFrame]byte
}

// ear is one listener.
type ear struct {
	who    Listener // nil when it left while listeners are being called
	format Format
	pipe   *pipe
}

// pipe converts what is heard to one format, for all listeners of it.
type pipe struct {
	encoding  Encoding
	rate      int
	resampler *resample.Resampler // nil when the rate is that of the wire
	samples   [maxSamples]int16
	frame     []byte // 20 ms
	filled    int
	users     int
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
	p := e.pipe(f)
	p.users++
	e.list = append(e.list, ear{who: l, format: f, pipe: p})
	if f.WAV {
		l.Audio(wav.Header(f.Rate, 16, 1, wav.Unknown))
	}
	if e.joined {
		return
	}
	e.joined = true
	for e.backlog.Len() > 0 {
		piece := e.piece[:e.backlog.Read(e.piece[:])]
		e.decoded = false
		e.feed(p, piece, s.codec)
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
func (e *ears) answered() {
	keep := int(keptAtAnswer.Milliseconds()) * bytesPerMS
	if n := e.backlog.Len() - keep; n > 0 {
		e.backlog.Skip(n)
		e.forgotten += n
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

// pipe finds or makes the conversion to a format.
func (e *ears) pipe(f Format) *pipe {
	for _, p := range e.pipes {
		if p.encoding == f.Encoding && p.rate == f.Rate {
			return p
		}
	}
	p := &pipe{encoding: f.Encoding, rate: f.Rate, frame: make([]byte, f.FrameBytes())}
	if f.Rate != wireRate {
		r, err := resample.New(wireRate, f.Rate)
		if err != nil {
			panic("session: Format.Check let rate " + f.Name() + " pass: " + err.Error())
		}
		p.resampler = r
	}
	e.pipes = append(e.pipes, p)
	return p
}

// toWire brings a payload to the codec of the call when it came in the other
// G.711 codec.
func (e *ears) toWire(payload []byte, got, want uint8, encoding Encoding) []byte {
	if got == want {
		return payload
	}
	from := ALaw
	if got == typePCMU {
		from = ULaw
	}
	out := e.wire[:len(payload)]
	transcode(out, encoding, payload, from)
	return out
}

// hear passes samples, in wire bytes, to everybody who listens.
func (s *Session) hear(wire []byte) {
	e := &s.ears
	for len(wire) > 0 {
		piece := wire[:min(len(wire), wireFrame)]
		wire = wire[len(piece):]
		e.heard += len(piece)
		e.decoded = false
		if !e.joined {
			s.keep(piece)
			continue
		}
		e.busy++
		for _, p := range e.pipes {
			e.feed(p, piece, s.codec)
		}
		e.busy--
		e.tidy()
	}
}

// keep adds to the backlog, from which the oldest goes when it is full.
func (s *Session) keep(piece []byte) {
	e := &s.ears
	limit := int(s.cfg.BacklogLimit.Milliseconds()) * bytesPerMS
	e.backlog.Write(piece)
	if n := e.backlog.Len() - limit; n > 0 {
		e.backlog.Skip(n)
		e.forgotten += n
	}
}

// feed converts one piece for one pipe and sends the messages that are full.
func (e *ears) feed(p *pipe, piece []byte, c codec) {
	if p.encoding != PCM16 {
		for len(piece) > 0 {
			n := min(len(piece), len(p.frame)-p.filled)
			transcode(p.frame[p.filled:p.filled+n], p.encoding, piece[:n], c.encoding)
			piece = piece[n:]
			e.advance(p, n)
		}
		return
	}
	if !e.decoded {
		c.decode(e.pcm[:len(piece)], piece)
		e.decoded = true
	}
	samples := e.pcm[:len(piece)]
	if p.resampler != nil {
		samples = p.samples[:p.resampler.Process(p.samples[:], samples)]
	}
	for len(samples) > 0 {
		n := min(len(samples), (len(p.frame)-p.filled)/2)
		for i, v := range samples[:n] {
			binary.LittleEndian.PutUint16(p.frame[p.filled+2*i:], uint16(v))
		}
		samples = samples[n:]
		e.advance(p, 2*n)
	}
}

// advance notes n more bytes in the message of a pipe and sends it when full.
func (e *ears) advance(p *pipe, n int) {
	p.filled += n
	if p.filled < len(p.frame) {
		return
	}
	p.filled = 0
	e.busy++
	for i := range e.list {
		if l := &e.list[i]; l.pipe == p && l.who != nil {
			l.who.Audio(p.frame)
		}
	}
	e.busy--
}

// hearing is where packets in order come out.
type hearing struct{ s *Session }

// Audio takes samples that arrived.
func (h *hearing) Audio(payload []byte) {
	h.s.ears.conceal.good(payload)
	h.s.hear(payload)
}

// Gap fills samples that are missing.
func (h *hearing) Gap(samples int, why reorder.Gap) {
	e := &h.s.ears
	if why == reorder.Lost {
		e.concealed += samples
	} else {
		e.paused += samples
	}
	for samples > 0 {
		piece := e.piece[:min(samples, wireFrame)]
		samples -= len(piece)
		if why == reorder.Lost {
			e.conceal.fill(piece, h.s.codec)
		} else {
			fill(piece, h.s.codec.silence)
		}
		h.s.hear(piece)
	}
}

// Restart forgets what another stream said.
func (h *hearing) Restart() { h.s.ears.conceal.reset() }
