package demo

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"phonesocket/internal/audio/measure"
)

// lineRate is the rate of the sound on both sockets, in Hz.
const lineRate = 16000

// ear is everything that came on a listen socket, with the time at which it did.
type ear struct {
	pcm    []int16
	frames []frame
	text   []event
}

// frame is one message: where its first sample stands in pcm.
type frame struct {
	at      time.Time
	first   int
	samples int
}

// hear collects until the gateway closes the socket after the end of the call.
func hear(s *socket) <-chan ear {
	result := make(chan ear, 1)
	s.all.Go(func() {
		var e ear
		for m := range s.in {
			if m.audio == nil {
				e.text = append(e.text, m.text)
				continue
			}
			f := frame{at: m.at, first: len(e.pcm), samples: len(m.audio) / 2}
			for i := range f.samples {
				e.pcm = append(e.pcm, int16(binary.LittleEndian.Uint16(m.audio[2*i:])))
			}
			e.frames = append(e.frames, f)
		}
		result <- e
	})
	return result
}

// mouth speaks on a speak socket: every 20 ms what is said in them.
type mouth struct {
	socket *socket
	start  time.Time // when the first sample is to be spoken
}

const (
	frameTime = 20 * time.Millisecond
	// lead is how far ahead of the clock the mouth sends. It is there for busy
	// machines, on which a process may not be woken for a while: what the gateway
	// does with late speech is not what is judged here.
	lead = 300 * time.Millisecond
)

// say sends a WAV file, header and all, by absolute deadlines.
func (m *mouth) say(ctx context.Context, wav []byte) error {
	const header, bytesPerFrame = 44, lineRate / 50 * 2
	timer := time.NewTimer(0)
	defer timer.Stop()
	m.start = time.Now()
	for sent, n := 0, 0; sent < len(wav); n++ {
		timer.Reset(time.Until(m.start.Add(time.Duration(n)*frameTime - lead)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("speak: %w", ctx.Err())
		}
		end := min(sent+bytesPerFrame, len(wav))
		if sent == 0 {
			end = min(header+bytesPerFrame, len(wav))
		}
		if !m.socket.send(binaryFrame(wav[sent:end])) {
			return fmt.Errorf("speak: %w", errGone)
		}
		sent = end
	}
	return nil
}

// sound says how the speech came back.
type sound struct {
	measure.Result
	delays []time.Duration // mouth to ear, of each frame with speech in it, sorted
}

// compare aligns what came back with what was said. The delay of a frame is the
// time from the moment at which the clock of the mouth was at its first sample
// to its arrival, and 20 ms on top: a person's frame can only be sent when all
// of it has been spoken.
func compare(sent []int16, e ear, m *mouth) sound {
	s := sound{Result: measure.Align(sent, e.pcm, lineRate)}
	if !s.Found {
		return s
	}
	for _, f := range e.frames {
		i := f.first - s.DelaySamples
		if i < 0 || i >= len(sent) {
			continue
		}
		spoken := m.start.Add(time.Duration(i) * time.Second / lineRate)
		s.delays = append(s.delays, f.at.Sub(spoken)+frameTime)
	}
	slices.Sort(s.delays)
	return s
}

// delay is the one that the given share of the frames kept, 0 to 1.
func (s sound) delay(share float64) time.Duration {
	if len(s.delays) == 0 {
		return 0
	}
	return s.delays[int(share*float64(len(s.delays)-1))]
}
