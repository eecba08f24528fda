package engine

import (
	"bytes"
	"encoding/binary"
	"time"

	"phonesocket/internal/media/session"
)

// Bytes a second of a WAV stream that can be true: from 8 kHz with one byte a sample to 48 kHz with two.
const (
	minWAVRate = 8000
	maxWAVRate = 96000
)

// maxEarlyMarks is how many marks wait for a call at most.
const maxEarlyMarks = 1000

// earlyAudio keeps what a speaker of the line says while there is no call. When it is
// full the oldest goes, in whole samples; the header of a WAV stream stays.
type earlyAudio struct {
	limit time.Duration
	rate  int // bytes a second, as the format of the socket says

	data  []byte // a WAV header if there is one, what is thrown away already, and from start what is kept
	start int
	total int64 // bytes of audio thrown away since the buffer was empty
	marks []earlyMark

	header   int // bytes of a WAV header at the front of data, 0 = none known
	wavRate  int // bytes a second, as the header says
	toldAt   time.Time
	untoldMS int64
}

// earlyMark is a mark behind pos bytes of audio, counted like total.
type earlyMark struct {
	pos  int64
	name string
}

func (a *earlyAudio) init(cfg ConnConfig) {
	a.limit = cfg.EarlyLimit
	if a.limit == 0 {
		a.limit = session.DefaultEarlyLimit
	}
	if a.limit < 0 || cfg.Format.DropEarly {
		a.limit = 0
	}
	a.rate = cfg.Format.FrameBytes() * int(time.Second/period)
}

// write keeps piece and returns how many milliseconds of audio had to go for it. Speech
// that the client asked not to keep is thrown away and not counted as lost.
func (a *earlyAudio) write(piece []byte) (lostMS int64) {
	if a.limit == 0 || a.rate == 0 {
		return 0
	}
	if size, _ := wavHeader(piece); size > 0 {
		a.begin()
	}
	a.data = append(a.data, piece...)
	a.findHeader()
	rate := a.bytesPerSecond()
	most := int(a.limit.Seconds() * float64(rate))
	over := len(a.data) - a.start - most
	if over <= 0 {
		return 0
	}
	over = min((over+1)&^1, len(a.data)-a.start) // whole samples of two bytes
	a.start += over
	a.total += int64(over)
	a.compact(most)
	return max(int64(over)*1000/int64(rate), 1)
}

// resume keeps the header of the WAV stream that the end of a call cut off: what comes now is its rest.
// Nil, when there was none.
func (a *earlyAudio) resume(header []byte) {
	a.reset()
	if a.limit > 0 && len(header) > 0 {
		a.data = append(a.data, header...)
		a.findHeader()
	}
}

// begin prepares for another WAV file: its header takes the place of one that nothing followed, or
// is replayed by itself, as a session looks for headers where a piece begins only.
func (a *earlyAudio) begin() {
	switch {
	case len(a.data) == a.start:
		marks := a.marks
		a.reset()
		for i := range marks {
			marks[i].pos = 0
		}
		a.marks = marks
	case len(a.marks) < maxEarlyMarks:
		a.mark("") // a seam; clients cannot give a mark this name
	}
}

// compact moves the audio to the front now and then, so that the buffer stays within the limit and a quarter.
func (a *earlyAudio) compact(most int) {
	if a.start-a.header < most/4 {
		return
	}
	n := copy(a.data[a.header:], a.data[a.start:])
	a.data = a.data[:a.header+n]
	a.start = a.header
}

func (a *earlyAudio) bytesPerSecond() int {
	if a.wavRate > 0 {
		return a.wavRate
	}
	return a.rate
}

// findHeader looks for a WAV header at the front; from then on the audio begins behind it.
func (a *earlyAudio) findHeader() {
	if a.start > 0 || a.total > 0 {
		return
	}
	a.header, a.wavRate = wavHeader(a.data)
	if a.wavRate < minWAVRate || a.wavRate > maxWAVRate {
		a.wavRate = 0 // the session will refuse it; until then it must not move the limit
	}
	a.start = a.header
	for i := range a.marks {
		a.marks[i].pos = max(a.marks[i].pos-int64(a.header), 0)
	}
}

// wavHeader returns where the samples of a WAV stream begin and their bytes a second; 0 when
// data does not begin with a whole WAV header.
func wavHeader(data []byte) (size, bytesPerSecond int) {
	if len(data) < 12 || !bytes.Equal(data[:4], []byte("RIFF")) || !bytes.Equal(data[8:12], []byte("WAVE")) {
		return 0, 0
	}
	for at := 12; at+8 <= len(data); {
		length := int64(binary.LittleEndian.Uint32(data[at+4:]))
		body := at + 8
		switch string(data[at : at+4]) {
		case "data":
			return body, bytesPerSecond
		case "fmt ":
			if body+12 <= len(data) {
				bytesPerSecond = int(binary.LittleEndian.Uint32(data[body+8:]))
			}
		}
		if next := int64(body) + length + length&1; next < int64(len(data)) {
			at = int(next)
			continue
		}
		break
	}
	return 0, 0
}

// mark remembers name behind what was written so far; false when there are too many.
func (a *earlyAudio) mark(name string) bool {
	if len(a.marks) >= maxEarlyMarks {
		return false
	}
	a.marks = append(a.marks, earlyMark{pos: a.total + int64(len(a.data)-a.start), name: name})
	return true
}

// clear forgets everything and returns how much audio that was, and the marks that waited.
func (a *earlyAudio) clear() (discardedMS int64, marks []string) {
	if rate := a.bytesPerSecond(); rate > 0 {
		discardedMS = int64(len(a.data)-a.start) * 1000 / int64(rate)
	}
	for _, m := range a.marks {
		if m.name != "" {
			marks = append(marks, m.name)
		}
	}
	a.resume(a.data[:a.header]) // the stream goes on behind what was thrown away
	return discardedMS, marks
}

func (a *earlyAudio) reset() {
	a.data, a.marks = nil, nil
	a.start, a.header, a.wavRate, a.total = 0, 0, 0, 0
}

// mouth is what early audio is replayed to: a session.
type mouth interface {
	Speak(now time.Time, data []byte)
	Mark(now time.Time, name string)
}

// replay speaks what was kept, marks in their places, and forgets it.
func (a *earlyAudio) replay(now time.Time, s mouth) {
	if a.header > 0 {
		s.Speak(now, a.data[:a.header])
	}
	audio, at := a.data[a.start:], a.total
	for _, m := range a.marks {
		n := min(max(m.pos-at, 0), int64(len(audio)))
		if n > 0 {
			s.Speak(now, audio[:n])
			audio = audio[n:]
			at += n
		}
		if m.name != "" {
			s.Mark(now, m.name)
		}
	}
	if len(audio) > 0 {
		s.Speak(now, audio)
	}
	a.reset()
}
