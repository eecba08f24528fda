package session

import (
	"phonesocket/internal/audio/resample"
)

// track brings samples of one rate into the form of the codec of the call.
type track struct {
	rate      int
	resampler *resample.Resampler // nil when the rate is that of the codec
	pending   bool                // the end of what was said is still in the resampler
	in        [maxSamples]int16
	out       [wideFrame + 1]int16 // one more when a filter was between two samples
	wire      [2 * (wideFrame + 1)]byte
}

// tune sets the rates; what was pending must have been finished.
func (t *track) tune(rate int, c codec) {
	t.rate, t.resampler, t.pending = rate, nil, false
	if rate == c.rate {
		return
	}
	r, err := resample.New(rate, c.rate)
	if err != nil {
		panic("session: a rate was let pass that cannot be converted: " + err.Error())
	}
	t.resampler = r
}

// convert turns at most 20 ms of samples into bytes in the form of the codec;
// they are valid until the next call.
func (t *track) convert(samples []int16, c codec) []byte {
	if t.resampler != nil {
		samples = t.out[:t.resampler.Process(t.out[:], samples)]
		t.pending = true
	}
	return c.encoding.encode(t.wire[:], samples)
}

// ahead is how many bytes finish will write, or a few more.
func (t *track) ahead(c codec) int {
	if !t.pending {
		return 0
	}
	samples := int(t.resampler.Delay().Microseconds())*c.rate/1e6 + 1
	return samples * c.encoding.bytes()
}

// finish speaks what the resampler still holds: the last 2 ms.
func (t *track) finish(s *Session) {
	if !t.pending {
		return
	}
	t.pending = false
	zeros := t.in[:int(t.resampler.Delay().Microseconds())*t.rate/1e6+1]
	clear(zeros)
	out := t.out[:t.resampler.Process(t.out[:], zeros)]
	s.queue.Pad(s.codec.encoding.encode(t.wire[:], out))
	t.resampler.Reset()
}

// drop forgets what the resampler still holds.
func (t *track) drop() {
	if t.pending {
		t.pending = false
		t.resampler.Reset()
	}
}
