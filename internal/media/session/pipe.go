package session

import "phonesocket/internal/audio/resample"

// pipe converts what is heard to one format, for all listeners of it.
type pipe struct {
	encoding  Encoding
	rate      int
	resampler *resample.Resampler // nil when the rate is that of the codec
	samples   [maxSamples]int16
	frame     []byte // 20 ms
	filled    int
	users     int
}

// pipe finds or makes the conversion to a format.
func (e *ears) pipe(f Format, c codec) *pipe {
	for _, p := range e.pipes {
		if p.encoding == f.Encoding && p.rate == f.Rate {
			return p
		}
	}
	p := &pipe{encoding: f.Encoding, rate: f.Rate, frame: make([]byte, f.FrameBytes())}
	p.tune(c)
	e.pipes = append(e.pipes, p)
	return p
}

// tune sets the codec from which is converted; none is known before the start.
func (p *pipe) tune(c codec) {
	p.resampler = nil
	if c.rate == 0 || c.rate == p.rate {
		return
	}
	r, err := resample.New(c.rate, p.rate)
	if err != nil {
		panic("session: a rate was let pass that cannot be converted: " + err.Error())
	}
	p.resampler = r
}

// feed converts at most 20 ms for one pipe and sends the messages that are
// full; same are the bytes of the samples in the form of the codec, or nil.
func (e *ears) feed(p *pipe, samples []int16, same []byte, c codec) {
	if same != nil && p.encoding == c.encoding && p.resampler == nil {
		for len(same) > 0 {
			n := copy(p.frame[p.filled:], same)
			same = same[n:]
			e.advance(p, n)
		}
		return
	}
	if p.resampler != nil {
		samples = p.samples[:p.resampler.Process(p.samples[:], samples)]
	}
	size := p.encoding.bytes()
	for len(samples) > 0 {
		n := min(len(samples), (len(p.frame)-p.filled)/size)
		p.encoding.encode(p.frame[p.filled:], samples[:n])
		samples = samples[n:]
		e.advance(p, n*size)
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
