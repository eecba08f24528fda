package engine

import "time"

// kinds of tasks of a Conn.
const (
	connBegin uint8 = iota
	connBytes
	connAttach
	connDetach
	connClose
	connBroken // reading or writing has ended
)

// maxEndWait bounds how long a socket waits for the end of its call before it goes to the next.
const maxEndWait = time.Second

type connTask struct {
	kind   uint8
	buf    []byte
	back   chan<- []byte // where buf goes when it was read; nil when it came from outside
	media  *Media
	seat   *Seat
	reason *violation
}

// post puts a task into the mailbox; false means that the socket is gone and the task still the caller's.
func (c *Conn) post(t connTask) bool {
	c.mu.Lock()
	if c.abandoned {
		c.mu.Unlock()
		return false
	}
	c.mailbox = append(c.mailbox, t)
	wake, home := !c.scheduled, c.home
	c.scheduled = true
	c.mu.Unlock()
	if wake && !home.inbox.put(c) {
		c.abandon()
	}
	return true
}

// take returns the next task. Without one the Conn leaves the inbox of its worker.
func (c *Conn) take() (connTask, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mailbox) == 0 {
		c.scheduled = false
		return connTask{}, false
	}
	t := c.mailbox[0]
	n := copy(c.mailbox, c.mailbox[1:])
	c.mailbox[n] = connTask{}
	c.mailbox = c.mailbox[:n]
	return t, true
}

// abandon is the end of a Conn whose worker has ended. Goroutines that were started are
// stopped by the worker before that, so only what never began is closed here.
func (c *Conn) abandon() {
	c.mu.Lock()
	first := !c.abandoned
	c.abandoned = true
	rest := c.mailbox
	c.mailbox = nil
	c.mu.Unlock()
	for _, t := range rest {
		switch t.kind {
		case connBegin:
			c.finish()
		case connAttach:
			t.seat.Release()
			t.media.arrived()
		}
	}
	if first {
		c.cfg.Seat.Release()
	}
}

// finish closes the connection; by then nothing reads or writes.
func (c *Conn) finish() {
	c.carrier.close()
	close(c.done)
	if c.cfg.OnDone != nil {
		c.cfg.OnDone(c)
	}
}

// run does what is in the mailbox, on the home worker. When the Conn has to move to the worker of
// its call it stops, and that worker goes on with the same mailbox: so nothing is overtaken.
func (c *Conn) run(w *worker, now time.Time) {
	if c.at != w && c.state != connGone {
		c.at = w
		w.admit(c, now)
		if c.state != connNew {
			c.carrier.enter(w)
		}
	}
	for {
		t, ok := c.take()
		if !ok {
			return
		}
		if t.kind == connAttach && (c.waitForEnd(w, t) || c.move(w, t)) {
			return
		}
		c.do(w, now, t)
	}
}

func (c *Conn) do(w *worker, now time.Time, t connTask) {
	switch t.kind {
	case connBegin:
		c.open(w, now)
	case connBytes:
		c.received(now, t.buf)
		if t.back != nil {
			t.back <- t.buf[:cap(t.buf)] // never waits: the channel has room for all buffers of this reader
		}
	case connAttach:
		c.attach(now, t)
	case connDetach:
		c.leave(now)
	case connClose:
		c.beginClose(now, t.reason)
	case connBroken:
		c.drop(now)
	}
}

// move hands the Conn and its mailbox to the worker of the call in t, if that is another one.
func (c *Conn) move(from *worker, t connTask) bool {
	to := t.media.worker
	if to == from || c.state != connOpen {
		return false
	}
	c.leave(from.engine.cfg.TimeNow())
	delete(from.conns, c)
	c.carrier.exit(from)
	c.putBack(to, t)
	if to.inbox.put(c) {
		return true
	}
	// That worker has ended, so all are ending.
	c.mu.Lock()
	c.home = from
	c.mu.Unlock()
	c.drop(from.engine.cfg.TimeNow())
	c.abandon()
	return true
}

// putBack makes t the next task again, to be done by the worker home.
func (c *Conn) putBack(home *worker, t connTask) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mailbox = append([]connTask{t}, c.mailbox...)
	c.home = home
}

// waitForEnd postpones an attach while the end of the call before is on its way through the
// inbox, so that the client is told of that end first.
func (c *Conn) waitForEnd(w *worker, t connTask) bool {
	m, now := c.media, w.engine.cfg.TimeNow()
	if m == nil || m == t.media || m.finished || !m.ended.Load() {
		c.waiting = time.Time{}
		return false
	}
	if c.waiting.IsZero() {
		c.waiting = now
	}
	if now.Sub(c.waiting) > maxEndWait {
		c.waiting = time.Time{}
		return false // two ends that wait for each other's sockets: better late than never
	}
	c.putBack(w, t)
	if w.inbox.put(c) {
		return true
	}
	c.take() // the worker is ending: go on at once
	return false
}

// pending reports whether tasks wait.
func (c *Conn) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mailbox) > 0
}
