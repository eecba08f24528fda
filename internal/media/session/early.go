package session

import (
	"time"

	"phonesocket/internal/media/playout"
)

// early is speech that comes before the codec of the call is known: samples at
// the rate at which they came, and the marks between them.
type early struct {
	data    playout.FIFO // 16 bit, little-endian
	runs    []earlyRun
	marks   []earlyMark
	written int64 // bytes

	came, waits        int64 // in units of 1/48000 s: all that was kept, and what is kept now
	discarded, refused int64 // in the same units
}

// earlyRun is a run of samples of one rate.
type earlyRun struct {
	rate, bytes int
}

type earlyMark struct {
	name string
	at   int64 // in bytes written
}

const (
	// All rates divide 48000, so that lengths of different ones can be added.
	earlyUnits   = 48000
	unitsPerMS   = earlyUnits / 1000
	maxEarlyRuns = 64
	maxMarks     = 4096
)

// write keeps samples up to limit milliseconds and returns how many were kept.
func (e *early) write(pcm []int16, rate int, limit time.Duration) int {
	unit := int64(earlyUnits / rate)
	room := max(0, limit.Milliseconds()*unitsPerMS-e.waits) / unit
	n := int(min(int64(len(pcm)), room))
	if len(e.runs) == 0 || e.runs[len(e.runs)-1].rate != rate {
		if len(e.runs) == maxEarlyRuns {
			n = 0
		} else {
			e.runs = append(e.runs, earlyRun{rate: rate})
		}
	}
	e.refused += int64(len(pcm)-n) * unit
	if n == 0 {
		return 0
	}
	var buf [2 * maxSamples]byte
	for rest := pcm[:n]; len(rest) > 0; {
		piece := rest[:min(len(rest), maxSamples)]
		e.data.Write(PCM16.encode(buf[:], piece))
		rest = rest[len(piece):]
	}
	e.runs[len(e.runs)-1].bytes += 2 * n
	e.written += int64(2 * n)
	e.came += int64(n) * unit
	e.waits += int64(n) * unit
	return n
}

// clear throws everything away and returns the marks that waited and how many
// milliseconds were lost.
func (e *early) clear() (marks []earlyMark, ms int64) {
	marks, ms = e.marks, e.waits/unitsPerMS
	e.came -= e.waits
	e.discarded += e.waits
	e.data.Truncate(0)
	e.marks, e.runs, e.waits = nil, nil, 0
	return marks, ms
}

// moveEarly puts the early speech and its marks into the queue, in the codec of
// the wire. The speaker of now goes on where the last run ends.
func (s *Session) moveEarly(now time.Time) {
	e := &s.early
	at := e.written - int64(e.data.Len())
	for i, run := range e.runs {
		t := &track{}
		if i == len(e.runs)-1 && s.voice != nil && s.voice.rate == run.rate {
			t = &s.voice.track
		}
		t.tune(run.rate, s.codec)
		s.moveRun(now, t, run.bytes, at)
		at += int64(run.bytes)
		if s.voice == nil || t != &s.voice.track {
			t.finish(s)
		}
	}
	for _, m := range e.marks {
		s.queue.Mark(m.name, s.ahead())
	}
	e.runs, e.marks, e.waits = nil, nil, 0
	s.sendPassed()
}

// moveRun moves one run that begins at the given position.
func (s *Session) moveRun(now time.Time, t *track, bytes int, at int64) {
	e := &s.early
	var raw [2 * maxSamples]byte
	for bytes > 0 {
		for len(e.marks) > 0 && e.marks[0].at <= at {
			s.queue.Mark(e.marks[0].name, t.ahead(s.codec))
			e.marks = e.marks[1:]
		}
		n := min(bytes, 2*t.rate/1000*FrameMS)
		if len(e.marks) > 0 {
			n = int(min(int64(n), e.marks[0].at-at))
		}
		n = e.data.Read(raw[:n])
		at += int64(n)
		bytes -= n
		s.queue.Write(now, t.convert(PCM16.decode(t.in[:], raw[:n]), s.codec))
	}
}
