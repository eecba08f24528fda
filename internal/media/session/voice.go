package session

import (
	"fmt"
	"time"

	"phonesocket/internal/audio/wav"
	"phonesocket/internal/media/playout"
)

// errorPause is how long the same error is not told to a speaker again.
const errorPause = time.Second

// voice is the speaker of a call and the way from its bytes to the wire.
type voice struct {
	who    Speaker
	format Format
	baseMS int64 // audio of the call before this speaker came

	// What the bytes mean: the format, or that of the WAV file being sent.
	encoding Encoding
	track

	begun  bool
	head   []byte // first bytes, until it is clear whether they begin a WAV file
	wav    *wav.Reader
	broken bool // the WAV file cannot be spoken, and this was told
	odd    bool // half a sample waits
	half   byte

	told map[string]time.Time // errors, by code
}

// SetSpeaker makes sp the speaker of the call; it gets KindStart and the state
// of the call. Errors: ErrSpeakerTaken, ErrEnded, or what is wrong with the
// format.
func (s *Session) SetSpeaker(_ time.Time, sp Speaker, f Format) error {
	switch {
	case s.ended:
		return ErrEnded
	case s.voice != nil:
		return ErrSpeakerTaken
	}
	if err := f.Check(); err != nil {
		return err
	}
	v := &voice{who: sp, format: f, baseMS: s.writtenMS(), told: map[string]time.Time{}}
	s.voice = v
	s.means(v, f.Encoding, f.Rate)
	s.attend()
	s.greet(sp.Event, f)
	return nil
}

// DropSpeaker takes the speaker away, if it is this one; what it said already
// is still spoken.
func (s *Session) DropSpeaker(_ time.Time, sp Speaker) {
	if s.voice != nil && s.voice.who == sp {
		s.voice.finish(s)
		s.voice = nil
		s.attend()
	}
}

// means sets what the next bytes are; the rate is one that Check lets pass.
func (s *Session) means(v *voice, e Encoding, rate int) {
	if v.encoding == e && v.rate == rate {
		return
	}
	v.encoding, v.odd = e, false
	if !s.started {
		v.rate = rate // tuned when the codec is known
		return
	}
	v.finish(s)
	v.tune(rate, s.codec)
}

// Speak takes audio from the speaker in pieces of any size; a sample may be
// cut in two. A piece that begins as a WAV file does begins one.
func (s *Session) Speak(now time.Time, data []byte) {
	v := s.voice
	if v == nil || s.ended {
		return
	}
	data = v.sniff(data)
	if len(data) == 0 {
		return
	}
	if v.wav == nil {
		s.say(now, v, data)
		return
	}
	if v.broken {
		return
	}
	samples, err := v.wav.Feed(data)
	if err == nil && len(samples) > 0 {
		err = s.follow(v)
	}
	if err != nil {
		v.broken = true
		s.complain(now, CodeFormat, err.Error())
		return
	}
	s.say(now, v, samples)
}

// sniff finds out whether bytes begin a WAV file. It holds back the first few
// bytes of all when they might.
func (v *voice) sniff(data []byte) []byte {
	if !v.begun {
		if len(v.head) > 0 {
			data = append(v.head, data...)
		}
		if len(data) < 12 && mayBeWAV(data) {
			v.head = append([]byte(nil), data...)
			return nil
		}
		v.begun, v.head = len(data) > 0, nil
	}
	if wav.Sniff(data) {
		v.wav, v.broken, v.odd = &wav.Reader{}, false, false
	}
	return data
}

// mayBeWAV says that these few bytes could be the beginning of a WAV file.
func mayBeWAV(b []byte) bool {
	const head = "RIFF"
	n := min(len(b), len(head))
	return string(b[:n]) == head[:n]
}

// follow takes over the format of the WAV file.
func (s *Session) follow(v *voice) error {
	f, ok := v.wav.Format()
	if !ok {
		return nil
	}
	e := PCM16
	switch f.Encoding {
	case wav.ULaw:
		e = ULaw
	case wav.ALaw:
		e = ALaw
	case wav.PCM16:
	}
	if err := (Format{Encoding: PCM16, Rate: f.Rate}).Check(); err != nil {
		return err
	}
	s.means(v, e, f.Rate)
	return nil
}

// say converts bytes to the wire, piece by piece.
func (s *Session) say(now time.Time, v *voice, data []byte) {
	if v.format.DropEarly && s.answered.IsZero() {
		s.early.discarded += int64(len(data)) / int64(v.encoding.bytes()) * int64(earlyUnits/v.rate)
		return
	}
	if s.started && v.encoding == s.codec.encoding && v.encoding != PCM16 {
		s.enqueue(now, data) // the bytes of the wire, untouched
		return
	}
	step := v.rate / 1000 * FrameMS
	for len(data) > 0 {
		n := 0
		if v.odd {
			v.in[0] = int16(uint16(v.half) | uint16(data[0])<<8)
			v.odd, data, n = false, data[1:], 1
		}
		size := v.encoding.bytes()
		take := min(len(data)/size, step-n)
		v.encoding.decode(v.in[n:], data[:take*size])
		n, data = n+take, data[take*size:]
		if size == 2 && len(data) == 1 {
			v.half, v.odd, data = data[0], true, nil
		}
		s.saySamples(now, v, v.in[:n])
	}
}

// saySamples brings at most 20 ms to the codec of the wire, or keeps them when
// there is none yet.
func (s *Session) saySamples(now time.Time, v *voice, samples []int16) {
	if s.started {
		s.enqueue(now, v.convert(samples, s.codec))
		return
	}
	if s.early.write(samples, v.rate, s.cfg.EarlyLimit) < len(samples) {
		s.complainFull(now)
	}
}

func (s *Session) enqueue(now time.Time, wire []byte) {
	if s.queue.Write(now, wire) < len(wire) {
		s.complainFull(now)
	}
}

func (s *Session) complainFull(now time.Time) {
	if s.answered.IsZero() {
		s.complain(now, CodeEarlyFull, fmt.Sprintf(
			"%v of speech are kept before the call is answered, and no more: what came beyond was thrown away; wait for answered",
			min(s.cfg.EarlyLimit, s.cfg.QueueLimit)))
		return
	}
	s.complain(now, CodeQueueFull, fmt.Sprintf(
		"%v of speech wait already, and no more fit: what came beyond was thrown away; send more slowly or clear first", s.cfg.QueueLimit))
}

// complain tells the speaker of an error, each code at most once a second.
func (s *Session) complain(now time.Time, code, message string) {
	v := s.voice
	if v == nil {
		return
	}
	if last, ok := v.told[code]; ok && now.Sub(last) < errorPause {
		return
	}
	v.told[code] = now
	v.who.Event(s.event(Event{Kind: KindError, Code: code, Message: message}, v.format))
}

// ahead is how much of what was said the resampler still holds, in bytes.
func (s *Session) ahead() int {
	if s.voice == nil {
		return 0
	}
	return s.voice.ahead(s.codec)
}

// Mark asks for an event when all audio so far was spoken; at once when none
// waits.
func (s *Session) Mark(now time.Time, name string) {
	if s.ended {
		return
	}
	ok := true
	switch {
	case s.queue != nil:
		ok = s.queue.Mark(name, s.ahead())
	case s.early.data.Len() == 0:
		s.tellMark(playout.Passed{Name: name})
	case len(s.early.marks) >= maxMarks:
		ok = false
	default:
		s.early.marks = append(s.early.marks, earlyMark{name, s.early.written})
	}
	if !ok {
		s.complain(now, CodeMarks, fmt.Sprintf("%d marks wait already: mark %.40q is not remembered", maxMarks, name))
	}
	s.sendPassed()
}

// clear throws away what waits, for a reason that the speaker does not know.
func (s *Session) clear(reason string) {
	if s.ended {
		return
	}
	e := Event{Kind: KindCleared, Reason: reason}
	if s.queue == nil {
		marks, gone := s.early.clear()
		for _, m := range marks {
			s.tellMark(playout.Passed{Name: m.name, Cleared: true})
		}
		e.DiscardedMS = gone
	} else {
		e.DiscardedMS = int64(s.queue.Clear() / s.codec.bytesPerMS())
		s.sendPassed()
	}
	v := s.voice
	if v == nil {
		return
	}
	v.odd = false
	v.drop()
	v.baseMS = min(v.baseMS, s.writtenMS())
	e.PlayedMS, e.Underruns = v.played(s.playedMS()), s.underruns()
	v.who.Event(s.event(e, v.format))
}

// played brings a position in the audio of the call to that of the speaker.
func (v *voice) played(ms int64) int64 { return max(0, ms-v.baseMS) }

// sendPassed tells the speaker which marks came back.
func (s *Session) sendPassed() {
	for _, p := range s.queuePassed() {
		s.tellMark(p)
	}
}

func (s *Session) queuePassed() []playout.Passed {
	if s.queue == nil {
		return nil
	}
	return s.queue.PopPassed()
}

func (s *Session) tellMark(p playout.Passed) {
	if v := s.voice; v != nil {
		v.who.Event(s.event(Event{
			Kind: KindMark, Name: p.Name, Cleared: p.Cleared, PlayedMS: v.played(p.AtMS), Underruns: s.underruns(),
		}, v.format))
	}
}

// writtenMS is how much speech came so far, without what was cleared.
func (s *Session) writtenMS() int64 {
	if s.queue == nil {
		return s.early.came / unitsPerMS
	}
	return s.queue.Counts().WrittenMS
}

func (s *Session) playedMS() int64 {
	if s.queue == nil {
		return 0
	}
	return s.queue.Counts().PlayedMS
}

func (s *Session) underruns() uint64 {
	if s.queue == nil {
		return 0
	}
	return s.queue.Counts().Underruns
}
