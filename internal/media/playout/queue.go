// Package playout is the queue of the audio that a call is going to speak.
//
// Audio is written in the bytes of the wire codec, in pieces of any size and
// as fast as the writer likes; every 20 ms Next takes one packet. Marks are
// positions in the audio and come back when they were passed. Nothing is lost
// but what Clear throws away or Write refuses, and both are counted.
//
// A Queue belongs to one owner; the time is an argument.
package playout

import "time"

// Rules of the prebuffer: how much audio must wait before speech begins.
const (
	prebufferStep = 20 * time.Millisecond
	prebufferMax  = 200 * time.Millisecond
	// stallWindow: when audio comes again this soon after the queue ran dry, it
	// ran dry in the middle of speech.
	stallWindow = 500 * time.Millisecond
	// maxMarks is how many marks may wait.
	maxMarks = 4096
	// fadeMS is the length of a fade, in milliseconds.
	fadeMS = 5
)

// Config says what the bytes mean. All fields but Limit and Fade are required.
type Config struct {
	// FrameBytes is the size of one packet, BytesPerMS of one millisecond.
	FrameBytes, BytesPerMS int
	// Silence is the byte that fills a packet when there is nothing to say.
	Silence byte
	// Limit is how many bytes may wait; zero means ten minutes.
	Limit int
	// Fade turns the given bytes in place into ones that end in silence; nil
	// means that audio is cut off where it ends.
	Fade func([]byte)
}

// Passed is a mark that came back.
type Passed struct {
	Name string
	// At is the position of the mark in milliseconds of audio.
	AtMS int64
	// Cleared says that its audio was thrown away, not spoken.
	Cleared bool
}

// Counts says what became of the audio, in milliseconds.
type Counts struct {
	// WrittenMS is what was taken, without what was discarded.
	WrittenMS                                               int64
	PlayedMS, QueuedMS, DiscardedMS, RefusedMS, PrebufferMS int64
	// Underruns is how often the queue ran dry in the middle of speech.
	Underruns uint64
}

// Queue is the audio that waits. Use New.
type Queue struct {
	cfg  Config
	data FIFO

	// Positions in bytes since New: played <= written, discarded counts apart.
	written, played, discarded, refused uint64

	marks  []mark // waiting, in order of position
	passed []Passed

	playing   bool
	waiting   time.Time // since when audio waits to begin, or zero
	dry       time.Time // when it ran dry in the middle, or zero
	prebuffer time.Duration
	came      time.Time // of the last piece of audio
	piece     int       // its size, in bytes
	underruns uint64
	tail      []byte // the 5 ms that fade out after a Clear
}

type mark struct {
	name string
	at   uint64 // in bytes written
}

// New returns an empty queue.
func New(cfg Config) *Queue {
	if cfg.Limit <= 0 {
		cfg.Limit = 10 * 60 * 1000 * cfg.BytesPerMS
	}
	return &Queue{cfg: cfg, prebuffer: prebufferStep, tail: make([]byte, 0, fadeMS*cfg.BytesPerMS)}
}

// SetLimit changes how many bytes may wait; what waits already stays.
func (q *Queue) SetLimit(bytes int) { q.cfg.Limit = max(bytes, 0) }

// Write appends audio and returns how many bytes there was room for; the rest
// is refused and counted.
func (q *Queue) Write(now time.Time, p []byte) int {
	n := min(len(p), max(0, q.cfg.Limit-q.data.Len()))
	q.refused += uint64(len(p) - n)
	if n == 0 {
		return 0
	}
	q.data.Write(p[:n])
	q.written += uint64(n)
	if !q.dry.IsZero() && now.Sub(q.dry) < stallWindow {
		q.underruns++
		// A prebuffer that the first piece fills alone would change nothing.
		piece := time.Duration(q.piece/q.cfg.BytesPerMS) * time.Millisecond
		q.prebuffer = min(max(q.prebuffer, piece)+prebufferStep, prebufferMax)
	}
	q.dry = time.Time{}
	if now.After(q.came) {
		q.came, q.piece = now, 0
	}
	q.piece += n
	if !q.playing && q.waiting.IsZero() {
		q.waiting = now
	}
	return n
}

// Mark puts a mark behind all audio so far; it has passed at once when nothing
// waits. False means that too many marks wait already.
func (q *Queue) Mark(name string) bool {
	if q.data.Len() == 0 {
		q.pass(mark{name: name, at: q.written}, false)
		return true
	}
	if len(q.marks) >= maxMarks {
		return false
	}
	q.marks = append(q.marks, mark{name: name, at: q.written})
	return true
}

// Clear throws away what waits, but for the next 5 ms when speech is running:
// they fade out instead of clicking. Marks that wait come back as cleared. It
// returns how many bytes were thrown away.
func (q *Queue) Clear() int {
	if q.playing && q.cfg.Fade != nil {
		q.tail = q.tail[:q.data.Read(q.tail[:cap(q.tail)])]
		q.cfg.Fade(q.tail)
	}
	gone := q.data.Len()
	q.data.Truncate(0)
	q.stop()
	q.dry = time.Time{}
	q.discarded += uint64(gone)
	q.written -= uint64(gone)
	for _, m := range q.marks {
		m.at = min(m.at, q.written)
		q.pass(m, true)
	}
	q.marks = q.marks[:0]
	return gone
}

// Next fills dst, one packet, with the next audio or with silence, and reports
// whether there was audio.
func (q *Queue) Next(now time.Time, dst []byte) bool {
	if len(q.tail) > 0 {
		n := copy(dst, q.tail)
		q.tail = q.tail[:0]
		q.played += uint64(n)
		q.silence(dst[n:])
		return true
	}
	if !q.playing && !q.begin(now) {
		q.silence(dst)
		return false
	}
	n := q.data.Read(dst)
	q.played += uint64(n)
	if n < len(dst) {
		if q.cfg.Fade != nil {
			q.cfg.Fade(dst[max(0, n-cap(q.tail)):n])
		}
		q.silence(dst[n:])
		q.dry = now
		q.stop()
	}
	q.passMarks()
	return n > 0
}

// begin decides whether enough waits to begin: as much as the prebuffer, or
// anything that has waited as long as the prebuffer lasts.
func (q *Queue) begin(now time.Time) bool {
	waits := q.data.Len()
	if waits == 0 {
		return false
	}
	enough := time.Duration(waits/q.cfg.BytesPerMS)*time.Millisecond >= q.prebuffer
	if !enough && now.Sub(q.waiting) < q.prebuffer {
		return false
	}
	q.playing = true
	return true
}

// stop ends a run of speech.
func (q *Queue) stop() {
	q.playing, q.waiting = false, time.Time{}
}

func (q *Queue) silence(p []byte) {
	for i := range p {
		p[i] = q.cfg.Silence
	}
}

func (q *Queue) passMarks() {
	n := 0
	for n < len(q.marks) && q.marks[n].at <= q.played {
		q.pass(q.marks[n], false)
		n++
	}
	if n > 0 {
		q.marks = q.marks[:copy(q.marks, q.marks[n:])]
	}
}

func (q *Queue) pass(m mark, cleared bool) {
	q.passed = append(q.passed, Passed{Name: m.name, AtMS: q.ms(m.at), Cleared: cleared})
}

// PopPassed returns the marks that came back since the last call, oldest
// first; they are valid until the next call of any method.
func (q *Queue) PopPassed() []Passed {
	p := q.passed
	q.passed = q.passed[:0]
	return p
}

// Counts returns what became of the audio so far.
func (q *Queue) Counts() Counts {
	return Counts{
		WrittenMS:   q.ms(q.written),
		PlayedMS:    q.ms(q.played),
		QueuedMS:    q.ms(uint64(q.data.Len())),
		DiscardedMS: q.ms(q.discarded),
		RefusedMS:   q.ms(q.refused),
		PrebufferMS: q.prebuffer.Milliseconds(),
		Underruns:   q.underruns,
	}
}

// Transcode changes to another wire codec of the same rate: convert turns the
// bytes that wait into those of the new codec, in place.
func (q *Queue) Transcode(convert func([]byte), silence byte, fade func([]byte)) {
	q.data.Each(convert)
	if len(q.tail) > 0 {
		convert(q.tail)
	}
	q.cfg.Silence, q.cfg.Fade = silence, fade
}

func (q *Queue) ms(bytes uint64) int64 { return int64(bytes) / int64(q.cfg.BytesPerMS) }
