package playout

import "time"

// Rules of catching up: a source in real time that was interrupted, or whose
// clock is faster than ours, must not stay late for ever.
const (
	// paceWindow is how long a writer is watched before it is judged, paceGap the
	// pause after which it is unknown again.
	paceWindow = 2 * time.Second
	paceGap    = time.Second
	// paceShare is how far from real time, as one part of so many, a writer may be,
	// and paceAhead how much audio it may have sent before its time.
	paceShare = 40
	paceAhead = 150 * time.Millisecond
	// slackWindow is how long the least level of the queue is observed, and
	// slackWindows how many such windows a small surplus must last.
	slackWindow  = 500 * time.Millisecond
	slackWindows = 4
	// surplusMS is worth trimming after slackWindows; stalledMS after one window,
	// and in the middle of speech if no pause comes.
	surplusMS = 10
	stalledMS = 60
	// cutMS is the longest piece that is taken out of silence at once, and
	// viewMS what is looked at for it.
	cutMS  = 10
	viewMS = 40
)

// pace finds out whether a writer sends in real time.
type pace struct {
	since, last time.Time
	bytes       int // that came after since, up to last
	steady      bool
}

// came notes n bytes that came at now.
func (p *pace) came(now time.Time, n, bytesPerMS int) {
	switch {
	case p.last.IsZero() || now.Sub(p.last) > paceGap:
		*p = pace{since: now, last: now}
		return
	case now.After(p.last):
		if span := p.last.Sub(p.since); span >= paceWindow {
			audio := time.Duration(p.bytes) * time.Millisecond / time.Duration(bytesPerMS)
			p.steady = (audio - span).Abs() <= span/paceShare
			p.since, p.bytes = p.last, 0
		}
		p.last = now
	case p.last.Equal(p.since):
		return // still of the piece with which the window began
	}
	p.bytes += n
	if audio := time.Duration(p.bytes) * time.Millisecond / time.Duration(bytesPerMS); audio-p.last.Sub(p.since) > paceAhead {
		p.steady = false
	}
}

// slack finds out how much of the queue was never needed lately.
type slack struct {
	since  time.Time
	least  int // level in the running window, in bytes
	past   [slackWindows]int
	spare  int  // bytes to be taken out
	urgent bool // even from speech
	view   []byte
}

func (s *slack) init(cfg Config) { s.view = make([]byte, 0, viewMS*cfg.BytesPerMS) }

// restart begins anew, when the queue has begun to play.
func (s *slack) restart(now time.Time) {
	s.since, s.least = now, maxInt
	s.past = [slackWindows]int{}
	s.spare, s.urgent = 0, false
}

const maxInt = int(^uint(0) >> 1)

// observe takes the level that is left when a packet has been taken, and says
// after each window what is to be spared.
func (s *slack) observe(now time.Time, level, wanted, bytesPerMS int) {
	s.least = min(s.least, level)
	if now.Sub(s.since) < slackWindow {
		return
	}
	copy(s.past[1:], s.past[:slackWindows-1])
	s.past[0] = s.least
	s.since, s.least = now, maxInt
	lasting := s.past[0]
	for _, v := range s.past {
		lasting = min(lasting, v)
	}
	switch {
	case s.past[0]-wanted >= stalledMS*bytesPerMS:
		s.spare, s.urgent = s.past[0]-wanted, true
	case s.past[0]-wanted >= surplusMS*bytesPerMS && s.urgent:
		s.spare = s.past[0] - wanted
	case lasting-wanted >= surplusMS*bytesPerMS:
		s.spare, s.urgent = lasting-wanted, false
	default:
		s.spare, s.urgent = 0, false
	}
}

// took notes that n bytes were taken out.
func (s *slack) took(n int) {
	s.spare -= n
	if s.least != maxInt {
		s.least -= n
	}
	for i := range s.past {
		s.past[i] -= n
	}
}

// trim takes at most one piece out of the audio that is due: of silence, or one
// pitch period of speech when an interruption has left so much delay that it
// would be noticed. Only a writer in real time is ever trimmed; what comes in
// bursts is spoken whole.
func (q *Queue) trim(now time.Time) {
	s := &q.slack
	if q.cfg.Shape == nil {
		return
	}
	wanted := int(q.prebuffer.Milliseconds()) * q.cfg.BytesPerMS
	s.observe(now, max(0, q.data.Len()-q.cfg.FrameBytes), wanted, q.cfg.BytesPerMS)
	if s.spare < surplusMS*q.cfg.BytesPerMS/2 || !q.pace.steady {
		return
	}
	view := s.view[:q.data.Peek(s.view[:cap(s.view)])]
	if len(view) < cap(view) {
		return
	}
	cut := min(s.spare, cutMS*q.cfg.BytesPerMS)
	cut -= cut % q.cfg.BytesPerMS // whole samples
	if !q.cfg.Shape.Quiet(view) {
		if !s.urgent {
			return
		}
		if cut = q.cfg.Shape.Period(view); cut <= 0 || 2*cut > len(view) {
			return
		}
	}
	q.cfg.Shape.Join(view[:cut], view[:cut], view[cut:2*cut])
	q.data.Skip(cut)
	q.data.Poke(view[:cut])
	q.played += uint64(cut)
	q.trimmed += uint64(cut)
	s.took(cut)
}
