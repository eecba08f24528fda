package stream

import (
	"errors"
	"sync"

	"phonesocket/internal/media/engine"
)

// errLineTaken: the line has a speaker.
var errLineTaken = errors.New("the line has a speaker already")

// line is what the sockets without a call of their own follow.
type line struct {
	mu       sync.Mutex
	callID   string
	media    *engine.Media // the call the line carries, or nil
	conns    map[*engine.Conn]struct{}
	speaking bool // a speaker is on the line or about to be
}

// started attaches the sockets of the line to a call, if the line is free.
func (l *line) started(callID string, m *engine.Media) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.media != nil && !l.media.Ended() {
		return
	}
	l.callID, l.media = callID, m
	for c := range l.conns {
		_ = c.Attach(m) // a socket that is closing, or a call that is over already: there is nothing to carry
	}
}

// ended frees the line if it carried this call. The engine has let go of the sockets by itself.
func (l *line) ended(callID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.callID == callID {
		l.callID, l.media = "", nil
	}
}

// reserve takes the place of the speaker, and the seat in the call the line carries, if any.
func (l *line) reserve() (*engine.Seat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.speaking {
		return nil, errLineTaken
	}
	var seat *engine.Seat
	if l.media != nil {
		var err error
		if seat, err = l.media.TakeSeat(); err != nil && !errors.Is(err, engine.ErrEnded) {
			return nil, err
		}
	}
	l.speaking = true
	return seat, nil
}

// release gives the place of the speaker back.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.speaking = false
}

// add puts a socket on the line and attaches it to the call that the line carries.
func (l *line) add(c *engine.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[*engine.Conn]struct{}{}
	}
	l.conns[c] = struct{}{}
	if l.media != nil {
		_ = c.Attach(l.media) // a call that just ended has nothing to carry
	}
}

// remove takes a socket off the line.
func (l *line) remove(c *engine.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
