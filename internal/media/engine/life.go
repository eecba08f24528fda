package engine

import (
	"time"

	"github.com/gobwas/ws"
)

// shortLinger bounds how long a connection stays for the answer to its close frame when there is no
// time (the program goes away) or no hope (the client broke the protocol).
const shortLinger = time.Second

// states of a Conn.
const (
	connNew     uint8 = iota // adopted, not yet begun by a worker
	connOpen                 // carries messages
	connClosing              // a close frame was queued
	connGone                 // let go
)

// reasons of the engine to close.
func closeShutdown() *violation {
	return &violation{code: ws.StatusGoingAway, reason: "the gateway is shutting down"}
}

func closeEnded() *violation {
	return &violation{code: ws.StatusNormalClosure, reason: "the call has ended"}
}

func closeRefused() *violation {
	return &violation{code: ws.StatusInternalServerError, reason: "the call could not take this socket"}
}

// open begins to carry.
func (c *Conn) open(w *worker, now time.Time) {
	if w.ending {
		c.state = connGone
		delete(w.conns, c)
		c.finish()
		c.abandon()
		return
	}
	c.state, c.heard, c.pinged = connOpen, now, now
	c.carrier.start(w)
}

// received takes the bytes of the client apart, and overwrites them.
func (c *Conn) received(now time.Time, data []byte) {
	if c.state != connOpen && c.state != connClosing {
		return
	}
	c.heard, c.now = now, now
	if bad := c.frames.feed(data); bad != nil {
		c.beginClose(now, bad)
		// Nothing that comes now can be understood, an answer to the close frame neither.
		c.closeBy(now.Add(min(shortLinger, c.engine.cfg.CloseTimeout)))
	}
}

// beginClose queues a close frame behind what waits.
func (c *Conn) beginClose(now time.Time, why *violation) {
	if c.state != connOpen {
		return
	}
	c.leave(now)
	c.state = connClosing
	linger := c.engine.cfg.CloseTimeout
	if why.code == ws.StatusGoingAway {
		linger = min(linger, shortLinger)
	}
	c.closeBy(now.Add(linger))
	c.out.close(why.code, why.reason)
	c.carrier.push()
}

// closeBy has the connection dropped at this time at the latest.
func (c *Conn) closeBy(deadline time.Time) {
	c.deadline = deadline
	if deadline.Before(c.at.checkAt) {
		c.at.checkAt = deadline
	}
}

// drop lets go of the socket at once.
func (c *Conn) drop(now time.Time) {
	if c.state != connOpen && c.state != connClosing {
		return
	}
	c.leave(now)
	c.state = connGone
	c.cfg.Seat.Release()
	delete(c.at.conns, c)
	c.out.kill()
	c.carrier.stop()
}

// check is called now and then: it pings, and gives up what is dead.
//
// "A Ping frame may serve either as a keepalive or as a means to verify that the remote
// endpoint is still responsive." RFC 6455 section 5.5.2.
func (c *Conn) check(now time.Time) {
	cfg := &c.engine.cfg
	switch {
	case c.state == connClosing:
		if !now.Before(c.deadline) {
			c.drop(now)
		}
	case c.drowned:
		c.engine.log.Info("websocket given up: it asks but does not read")
		c.drop(now)
	case c.carrier.stuck(now):
		c.engine.log.Info("websocket given up: it takes nothing")
		c.drop(now)
	case now.Sub(c.heard) >= cfg.PongTimeout:
		c.engine.log.Info("websocket given up: no sign of life", "silent_ms", now.Sub(c.heard).Milliseconds())
		c.drop(now)
	case now.Sub(c.pinged) >= cfg.PingInterval:
		c.pinged = now
		c.out.ping()
		c.carrier.push()
	}
}
