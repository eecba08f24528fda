package session

import (
	"math"

	"phonesocket/internal/audio/conceal"
	"phonesocket/internal/audio/g722"
	"phonesocket/internal/audio/resample"
	"phonesocket/internal/media/reorder"
)

// decoder turns payloads of one codec into samples at the rate of the call's.
type decoder struct {
	codec
	g722      *g722.Decoder       // nil for G.711
	resampler *resample.Resampler // nil when the rates are equal
	raw       [wideFrame]int16
	out       [wideFrame]int16
}

func newDecoder(c codec, rate int) *decoder {
	d := &decoder{codec: c}
	if c.wideband() {
		d.g722 = &g722.Decoder{}
	}
	if c.rate != rate {
		r, err := resample.New(c.rate, rate)
		if err != nil {
			panic("session: a codec has a rate that cannot be converted: " + err.Error())
		}
		d.resampler = r
	}
	return d
}

// decode takes at most 20 ms; the samples are valid until the next call.
func (d *decoder) decode(payload []byte) []int16 {
	var pcm []int16
	if d.g722 != nil {
		pcm = d.raw[:d.g722.Decode(d.raw[:], payload)]
	} else {
		pcm = d.encoding.decode(d.raw[:], payload)
	}
	if d.resampler != nil {
		pcm = d.out[:d.resampler.Process(d.out[:], pcm)]
	}
	return pcm
}

func (d *decoder) reset() {
	if d.g722 != nil {
		d.g722.Reset()
	}
	if d.resampler != nil {
		d.resampler.Reset()
	}
}

// prepare makes the ears ready for a codec, or for another one.
func (e *ears) prepare(c codec) {
	if e.conceal == nil || e.now == nil || e.now.rate != c.rate {
		filler, err := conceal.New(c.rate)
		if err != nil {
			panic("session: a codec has a rate that cannot be concealed: " + err.Error())
		}
		e.conceal = filler
	}
	e.in, e.now, e.mend = [3]*decoder{}, nil, 0
	e.comfort = comfort{}
	for _, p := range e.pipes {
		p.tune(c)
	}
}

// decoder finds or makes the one for a payload type. One that was not heard
// last begins anew: what it knew is long gone.
func (s *Session) decoder(payloadType uint8) *decoder {
	e := &s.ears
	c, ok := s.codec, payloadType == s.remote.Codec.PayloadType
	if !ok {
		c, _ = staticCodec(payloadType)
	}
	if e.now != nil && e.now.codec == c {
		return e.now
	}
	e.now = nil
	for i, d := range e.in {
		if d == nil {
			d = newDecoder(c, s.codec.rate)
			e.in[i] = d
		}
		if d.codec == c {
			d.reset()
			e.now = d
			break
		}
	}
	return e.now
}

// hearing is where packets in order come out.
type hearing struct{ s *Session }

// Audio takes samples that arrived.
func (h *hearing) Audio(p reorder.Packet) {
	s, e := h.s, &h.s.ears
	d := s.decoder(p.PayloadType)
	e.comfort.level = 0
	for payload := p.Payload; len(payload) > 0; {
		same := payload[:min(len(payload), wireFrame)]
		payload = payload[len(same):]
		pcm := d.decode(same)
		if d.codec != s.codec || d.wideband() || e.mend > 0 {
			same = nil
		}
		e.mend = max(0, e.mend-len(pcm))
		e.conceal.Good(pcm)
		s.hear(pcm, same)
	}
}

// Gap fills samples that are missing.
func (h *hearing) Gap(ticks int, why reorder.Gap) {
	s, e := h.s, &h.s.ears
	if why == reorder.Lost {
		e.concealed += ticks
	} else {
		e.paused += ticks
	}
	rest := ticks * s.codec.rate / wireClock
	for rest > 0 {
		pcm := e.pcm[:min(rest, s.codec.frame())]
		rest -= len(pcm)
		if why == reorder.Pause && e.comfort.level > 0 {
			e.comfort.fill(pcm)
			e.conceal.Good(pcm)
		} else {
			e.conceal.Fill(pcm)
			e.mend = s.codec.rate / 100
		}
		s.hear(pcm, nil)
	}
}

// Restart forgets what another stream said.
func (h *hearing) Restart() {
	e := &h.s.ears
	e.conceal.Reset()
	e.mend, e.comfort.level = 0, 0
	if e.now != nil {
		e.now.reset()
	}
}

// hear passes at most 20 ms to everybody who listens; same are the bytes of the
// samples in the form of the codec, or nil when they must be made.
func (s *Session) hear(pcm []int16, same []byte) {
	e := &s.ears
	e.heard += s.codec.ticks(len(pcm))
	s.listen(pcm)
	if !e.joined {
		if same == nil {
			same = s.codec.encoding.encode(e.bytes[:], pcm)
		}
		s.keep(same)
		return
	}
	e.busy++
	for _, p := range e.pipes {
		e.feed(p, pcm, same, s.codec)
	}
	e.busy--
	e.tidy()
}

// keep adds to the backlog, from which the oldest goes when it is full.
func (s *Session) keep(piece []byte) {
	e := &s.ears
	perMS := s.codec.bytesPerMS()
	e.backlog.Write(piece)
	if n := e.backlog.Len() - int(s.cfg.BacklogLimit.Milliseconds())*perMS; n > 0 {
		e.backlog.Skip(n)
		e.forgottenMS += int64(n / perMS)
	}
}

// comfort is the noise that a far end describes while it sends nothing (RFC
// 3389). Its colour is not followed: the spectrum that may come with it is of no
// use to who listens.
type comfort struct {
	level float32 // peak of the noise, 0 when none was described
	seed  uint32
}

// describe reads the payload of a comfort noise packet: "the magnitude of the
// noise level is contained in the least significant bits of the first octet, as
// -dBov" (RFC 3389 3.1), 0 dBov being a square wave of full scale.
func (c *comfort) describe(payload []byte) {
	if len(payload) == 0 {
		return
	}
	rms := 32768 * math.Pow(10, -float64(payload[0]&0x7F)/20)
	// White noise of equal distribution has a peak of √3 times its level. Nobody's
	// background is louder than -30 dBov.
	c.level = float32(math.Sqrt(3) * min(rms, 1036))
}

func (c *comfort) fill(dst []int16) {
	for i := range dst {
		c.seed = c.seed*1664525 + 1013904223
		dst[i] = int16(c.level * (float32(c.seed>>8)/(1<<23) - 1))
	}
}
