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
	// prebufferShare: it loses one part in so many of the time in which a writer
	// in real time keeps up, 2 ms in a second.
	prebufferShare = 500
	// stallWindow: when audio comes again this soon after the queue ran dry, it
	// ran dry in the middle of speech.
	stallWindow = 500 * time.Millisecond
	// maxMarks is how many marks may wait.
	maxMarks = 4096
	// fadeMS is the length of a fade, in milliseconds.
	fadeMS = 5
)

// Shape is what a Queue asks of the coding of its bytes. All slices hold whole
// samples.
type Shape interface {
	// Fade lets p, at most 5 ms, end in silence.
	Fade(p []byte)
	// Quiet says that nothing is to be heard in p.
	Quiet(p []byte) bool
	// Period is the length in bytes of one pitch period at the beginning of p,
	// at most half of it; 0 when p is too short.
	Period(p []byte) int
	// Join goes over from from to to, both as long as dst, which may be one of them.
	Join(dst, from, to []byte)
}

// Config says what the bytes mean. All fields but Limit and Shape are required.
type Config struct {
	// FrameBytes is the size of one packet, BytesPerMS of one millisecond.
	FrameBytes, BytesPerMS int
	// Silence is the byte that fills a packet when there is nothing to say.
	Silence byte
	// Limit is how many bytes may wait; zero means ten minutes.
	Limit int
	// Shape knows the coding; nil means that audio is cut off where it ends, and
	// that no delay is ever trimmed.
	Shape Shape
}

// Passed is a mark that came back.
type Passed struct {
	Name string
	// AtMS is the position of the mark in milliseconds of audio; of one that was
	// cleared, how much audio was spoken before.
	AtMS int64
	// Cleared says that its audio was thrown away, not spoken.
	Cleared bool
}

// Counts says what became of the audio, in milliseconds.
type Counts struct {
	// WrittenMS is what was taken, without what was discarded.
	WrittenMS                                               int64
	PlayedMS, QueuedMS, DiscardedMS, RefusedMS, PrebufferMS int64
	// TrimmedMS is the part of PlayedMS that was left out to catch up.
	TrimmedMS int64
	// Underruns is how often the queue ran dry in the middle of speech.
	Underruns uint64
}

// Queue is the audio that waits. Use New.
type Queue struct {
	cfg  Config
	data FIFO

	// Positions in bytes since New: played <= written, discarded counts apart.
	// padded are the bytes of written that nobody wrote.
	written, played, discarded, refused, padded, trimmed uint64

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
	complete  bool   // the last bytes are those of Pad: they need no fade
	pace      pace
	slack     slack
}

type mark struct {
	name string
	at   uint64 // in bytes written
	ms   int64  // of audio that somebody wrote
}

// New returns an empty queue.
func New(cfg Config) *Queue {
	if cfg.Limit <= 0 {
		cfg.Limit = 10 * 60 * 1000 * cfg.BytesPerMS
	}
	q := &Queue{cfg: cfg, prebuffer: prebufferStep, tail: make([]byte, 0, fadeMS*cfg.BytesPerMS)}
	q.slack.init(cfg)
	return q
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
	q.complete = false
	if !q.dry.IsZero() && now.Sub(q.dry) < stallWindow {
		q.underrun(now.Sub(q.dry))
	}
	q.dry = time.Time{}
	q.pace.came(now, n, q.cfg.BytesPerMS)
	if now.After(q.came) {
		if q.pace.steady {
			q.prebuffer = max(q.prebuffer-now.Sub(q.came)/prebufferShare, prebufferStep)
		}
		q.came, q.piece = now, 0
	}
	q.piece += n
	if !q.playing && q.waiting.IsZero() {
		q.waiting = now
	}
	return n
}

// underrun counts that speech was interrupted for so long.
func (q *Queue) underrun(silence time.Duration) {
	q.underruns++
	if silence > prebufferMax {
		return // no prebuffer could have bridged it: nothing is to be learned
	}
	// A prebuffer that the first piece fills alone would change nothing.
	piece := time.Duration(q.piece/q.cfg.BytesPerMS) * time.Millisecond
	q.prebuffer = min(max(q.prebuffer, piece)+prebufferStep, prebufferMax)
}

// Pad appends audio that nobody wrote, as the end of a filter, which ends in
// silence by itself: it is spoken, but no position and no count knows it. Marks that waited for more than came
// are content with it.
func (q *Queue) Pad(p []byte) {
	q.data.Write(p)
	q.complete = true
	q.written += uint64(len(p))
	q.padded += uint64(len(p))
	for i := range q.marks {
		q.marks[i].at = min(q.marks[i].at, q.written)
	}
	if q.data.Len() == 0 {
		q.passMarks()
	}
}

// Mark puts a mark behind all audio so far and the next ahead bytes, which the
// writer still holds; it has passed at once when there is neither. False means
// that too many marks wait already.
func (q *Queue) Mark(name string, ahead int) bool {
	m := mark{name: name, at: q.written + uint64(max(ahead, 0)), ms: q.ms(q.written - q.padded)}
	if q.data.Len() == 0 && ahead <= 0 {
		q.pass(m, false)
		return true
	}
	if len(q.marks) >= maxMarks {
		return false
	}
	q.marks = append(q.marks, m)
	return true
}

// Clear throws away what waits, but for the next 5 ms when speech is running:
// they fade out instead of clicking. Marks that wait come back as cleared. It
// returns how many bytes were thrown away.
func (q *Queue) Clear() int {
	if q.playing && q.cfg.Shape != nil {
		q.tail = q.tail[:q.data.Read(q.tail[:cap(q.tail)])]
		q.cfg.Shape.Fade(q.tail)
		q.played += uint64(len(q.tail)) // with the next packet, whatever comes
	}
	gone := q.data.Len()
	q.data.Truncate(0)
	q.stop()
	q.dry = time.Time{}
	q.discarded += uint64(gone)
	q.written -= uint64(gone)
	// What fades out counts as spoken from now on.
	at := q.ms(q.written - min(q.padded, q.written))
	for _, m := range q.marks {
		m.ms = min(m.ms, at)
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
		q.Silence(dst[n:])
		return true
	}
	if !q.playing && !q.begin(now) {
		q.Silence(dst)
		return false
	}
	q.trim(now)
	n := q.data.Read(dst)
	q.played += uint64(n)
	if n < len(dst) {
		if q.cfg.Shape != nil && !q.complete {
			q.cfg.Shape.Fade(dst[max(0, n-cap(q.tail)):n])
		}
		q.Silence(dst[n:])
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
	q.slack.restart(now)
	return true
}

// stop ends a run of speech.
func (q *Queue) stop() {
	q.playing, q.waiting = false, time.Time{}
}

// Short says that speech is running, or begins now, and that less than a packet
// waits: the writer should give what it holds back.
func (q *Queue) Short(now time.Time) bool {
	return (q.playing || q.begin(now)) && q.data.Len() < q.cfg.FrameBytes
}

// Silence fills p with silence.
func (q *Queue) Silence(p []byte) {
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
	q.passed = append(q.passed, Passed{Name: m.name, AtMS: m.ms, Cleared: cleared})
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
		WrittenMS:   q.ms(q.written - min(q.padded, q.written)),
		PlayedMS:    q.ms(q.played - min(q.padded, q.played)),
		QueuedMS:    q.ms(uint64(q.data.Len())),
		DiscardedMS: q.ms(q.discarded),
		RefusedMS:   q.ms(q.refused),
		TrimmedMS:   q.ms(q.trimmed),
		PrebufferMS: q.prebuffer.Milliseconds(),
		Underruns:   q.underruns,
	}
}

// Len is how many bytes wait.
func (q *Queue) Len() int { return q.data.Len() }

// Recode goes over to another coding: convert turns each piece of the bytes
// that wait, in their order, into those of the new one; its result is copied.
func (q *Queue) Recode(cfg Config, convert func([]byte) []byte) {
	old := q.cfg.BytesPerMS
	scale := func(n uint64) uint64 { return n * uint64(cfg.BytesPerMS) / uint64(old) }
	var data FIFO
	q.data.Each(func(p []byte) { data.Write(convert(p)) })
	fresh := New(cfg)
	q.cfg, q.data = fresh.cfg, data
	q.tail = fresh.tail // the end of speech that was cleared is let go
	q.played = scale(q.played)
	for _, n := range []*uint64{&q.discarded, &q.refused, &q.padded, &q.trimmed} {
		*n = scale(*n)
	}
	written := q.written
	q.written = q.played + uint64(data.Len())
	for i := range q.marks {
		m := &q.marks[i]
		// From the end, so that rounding never moves a mark beyond the audio.
		m.at = q.written - min(scale(written-min(m.at, written)), q.written-q.played)
	}
	q.piece = int(scale(uint64(q.piece)))
	q.pace = pace{}
	q.slack.init(cfg)
}

func (q *Queue) ms(bytes uint64) int64 { return int64(bytes) / int64(q.cfg.BytesPerMS) }
