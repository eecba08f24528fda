package phonenet

import "time"

// recorder lays what was heard on a time line by its RTP timestamps, so that a
// lost packet is a hole of zeros and not a shorter recording.
type recorder struct {
	limit   int // samples
	pcm     []int16
	started bool
	ssrc    uint32
	base    uint32 // timestamp of offset
	offset  int    // place of base in pcm
}

// maxHole is the longest hole that is believed; a longer jump continues at the end.
const maxHole = 10 * clockRate

func newRecorder(limit time.Duration) *recorder {
	return &recorder{limit: int(max(0, limit) * clockRate / time.Second)}
}

func (r *recorder) write(ssrc, timestamp uint32, payload []byte, decode func(byte) int16) {
	if r.limit == 0 {
		return
	}
	at := r.offset + int(int32(timestamp-r.base))
	if r.started && ssrc == r.ssrc && at < r.offset && at > r.offset-clockRate {
		return // swapped with the first of its stream
	}
	if !r.started || ssrc != r.ssrc || at < r.offset || at > len(r.pcm)+maxHole {
		r.started, r.ssrc, r.base, r.offset = true, ssrc, timestamp, len(r.pcm)
		at = r.offset
	}
	end := min(at+len(payload), r.limit)
	for len(r.pcm) < end {
		r.pcm = append(r.pcm, 0)
	}
	for i := at; i < end; i++ {
		r.pcm[i] = decode(payload[i-at])
	}
}

func (r *recorder) length() time.Duration {
	return time.Duration(len(r.pcm)) * time.Second / clockRate
}
