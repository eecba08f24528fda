package session

import (
	"time"

	"phonesocket/internal/audio/activity"
)

// reasonSpeech is the reason of a KindCleared that no clear asked for.
const reasonSpeech = "speech"

// talk notices when the callee begins and ends to speak. It costs nothing while
// nobody wants to know.
type talk struct {
	detector *activity.Detector // nil while nobody wants to know
	speaking bool
}

// wanted says that a socket wants to know.
func (s *Session) talkWanted() bool {
	if s.voice != nil && s.voice.format.AutoClear {
		return true
	}
	for i := range s.ears.list {
		if s.ears.list[i].who != nil && s.ears.list[i].format.Speech {
			return true
		}
	}
	return false
}

// attend begins or ends to listen, as the sockets want. A codec of another rate
// begins anew.
func (s *Session) attend() {
	t := &s.talk
	switch {
	case !s.started || !s.talkWanted():
		t.detector, t.speaking = nil, false
	case t.detector == nil:
		d, err := activity.New(activity.Config{Rate: s.codec.rate})
		if err != nil {
			panic("session: a codec has a rate that cannot be listened to: " + err.Error())
		}
		t.detector = d
	}
}

// listen takes what is heard after the answer; what is heard before it is the
// network's, not the callee's.
func (s *Session) listen(pcm []int16) {
	t := &s.talk
	if t.detector == nil || s.answered.IsZero() {
		return
	}
	if speaking := t.detector.Hear(pcm); speaking != t.speaking {
		s.noticed(speaking)
	}
}

// noticed tells who wants to know, and makes room for the callee's words.
func (s *Session) noticed(speaking bool) {
	s.talk.speaking = speaking
	e := Event{Kind: KindSpeechStopped, HeardMS: int64(s.ears.heard / clockPerMS)}
	if speaking {
		e.Kind = KindSpeechStarted
	}
	s.ears.each(func(l Listener, f Format) {
		if f.Speech {
			l.Event(s.event(e, f))
		}
	})
	v := s.voice
	if v == nil || !v.format.AutoClear {
		return
	}
	v.who.Event(s.event(e, v.format))
	if speaking && (s.queue.Len() > 0 || v.pending) {
		s.clear(reasonSpeech)
	}
}

// Clear throws away the speech that waits: the callee hears silence within one
// packet. Marks that wait come back first, as cleared, then KindCleared.
func (s *Session) Clear(_ time.Time) { s.clear("") }
