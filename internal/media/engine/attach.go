package engine

import (
	"errors"
	"time"

	"phonesocket/internal/media/session"
)

// attach joins the session of a call of the same worker.
func (c *Conn) attach(now time.Time, t connTask) {
	defer t.media.arrived()
	if c.state != connOpen || t.media == c.media {
		if t.seat != c.seat {
			t.seat.Release()
		}
		return
	}
	c.leave(now)
	if err := c.join(now, t.media, t.seat); err != nil {
		t.seat.Release()
		c.refused(now, err)
	}
}

func (c *Conn) join(now time.Time, m *Media, seat *Seat) error {
	if m.finished {
		return ErrEnded
	}
	c.media, c.seat = m, seat
	m.conns[c] = struct{}{}
	var err error
	if c.cfg.Role == Speak {
		m.speakers++
		err = m.session.SetSpeaker(now, (*speaker)(c), c.cfg.Format)
	} else {
		c.joining = true
		m.session.Join(now, (*listener)(c), c.cfg.Format)
		c.joining = false
	}
	if err != nil {
		delete(m.conns, c)
		c.media, c.seat = nil, nil
		if c.cfg.Role == Speak {
			m.speakers--
		}
		return err
	}
	if len(m.conns) == 1 {
		m.tell(Fact{Kind: SocketsPresent, At: now})
	}
	if c.cfg.Role == Speak {
		c.early.replay(now, m.session)
	}
	return nil
}

// refused tells the client why its call did not take it.
func (c *Conn) refused(now time.Time, err error) {
	switch {
	case c.cfg.Linger:
		if !errors.Is(err, ErrEnded) {
			c.event(session.Event{Kind: session.KindError, Code: CodeNotAttached, Message: err.Error()})
		}
	case errors.Is(err, ErrEnded):
		c.beginClose(now, closeEnded())
	default:
		c.event(session.Event{Kind: session.KindError, Code: CodeNotAttached, Message: err.Error()})
		c.beginClose(now, closeRefused())
	}
}

// leave takes the socket out of its call.
func (c *Conn) leave(now time.Time) {
	m := c.media
	if m == nil {
		return
	}
	c.media = nil
	delete(m.conns, c)
	if c.cfg.Role == Speak {
		m.speakers--
		m.session.DropSpeaker(now, (*speaker)(c))
		c.early.resume(m.session.CutWAV())
		c.seat.Release()
		c.seat = nil
		m.tell(Fact{Kind: SpeakerGone, At: now})
	} else {
		m.session.Leave(now, (*listener)(c))
	}
	if len(m.conns) == 0 {
		m.tell(Fact{Kind: SocketsGone, At: now})
	}
}

// callEnded lets go of the call: the socket waits for the next one or is closed.
func (c *Conn) callEnded(now time.Time) {
	c.leave(now)
	if !c.cfg.Linger {
		c.beginClose(now, closeEnded())
	}
}
