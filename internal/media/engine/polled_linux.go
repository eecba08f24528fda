package engine

import (
	"bytes"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// polledConn carries a plain TCP connection as a raw descriptor of the home worker: without
// goroutines, and without a buffer of its own.
type polledConn struct {
	conn    *Conn
	fd      int // -1 when let go
	worker  *worker
	place   int32 // -1 = in no set
	frame   outFrame
	left    []byte    // what the system has not taken yet of frame
	blocked time.Time // since when it takes nothing; zero = it takes
}

// polledCarrier takes the descriptor out of a plain TCP connection, or returns nil.
func polledCarrier(c *Conn, nc net.Conn) carrier {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	err = raw.Control(func(old uintptr) {
		fd, _ = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || fd < 0 {
		return nil // the goroutines will see what is wrong with it
	}
	_ = tcp.Close() // only this descriptor: the connection lives on in the other
	return &polledConn{conn: c, fd: fd, place: -1}
}

func (p *polledConn) start(w *worker) {
	if p.conn.cfg.Role == Listen {
		_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // best effort: only memory and age of the audio depend on it
	}
	p.enter(w)
}

// enter puts the descriptor into the set of the worker.
func (p *polledConn) enter(w *worker) {
	if p.fd < 0 {
		return
	}
	place, err := w.poll.add(p.fd, p)
	if err != nil {
		w.engine.log.Error("websocket cannot be polled", "error", err)
		p.conn.post(connTask{kind: connBroken})
		return
	}
	p.worker, p.place = w, place
	if !p.blocked.IsZero() {
		w.poll.change(place, p.fd, unix.EPOLLIN|unix.EPOLLOUT)
	}
	p.push()
}

// exit takes it out again.
func (p *polledConn) exit(*worker) {
	if p.place >= 0 {
		p.worker.poll.remove(p.place, p.fd)
		p.worker, p.place = nil, -1
	}
}

func (p *polledConn) stuck(now time.Time) bool {
	return !p.blocked.IsZero() && now.Sub(p.blocked) >= p.conn.engine.cfg.WriteTimeout
}

func (p *polledConn) stop() {
	p.exit(p.worker)
	p.conn.finish()
}

func (p *polledConn) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}

// ready writes what waits and takes one piece of what came.
func (p *polledConn) ready(w *worker, now time.Time, events uint32) {
	if p.conn.pending() {
		// What was asked before these bytes came is done before them: the inbox is next, and they can wait in the system.
		return
	}
	if events&unix.EPOLLOUT != 0 && !p.blocked.IsZero() {
		p.blocked = time.Time{}
		w.poll.change(p.place, p.fd, unix.EPOLLIN)
		p.push()
	}
	if events&^unix.EPOLLOUT != 0 {
		p.read(w, now)
	}
}

func (p *polledConn) read(w *worker, now time.Time) {
	n, errno := recv(p.fd, w.poll.buf[:])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0 || n == 0:
		p.conn.drop(now)
	default:
		p.conn.received(now, w.poll.buf[:n])
	}
}

// push writes until the outbox is empty or the system takes no more.
func (p *polledConn) push() {
	if p.place < 0 || !p.blocked.IsZero() {
		return // later: when it is in a set, when there is room
	}
	for {
		if len(p.left) == 0 && !p.next() {
			return
		}
		n, errno := send(p.fd, p.left)
		switch errno {
		case 0:
			p.left = p.left[n:]
			if len(p.left) == 0 {
				p.conn.out.recycle(p.frame)
				p.frame = outFrame{}
			}
		case unix.EINTR:
		case unix.EAGAIN:
			p.block()
			return
		default:
			p.broken()
			return
		}
	}
}

// next takes the next frame from the outbox.
func (p *polledConn) next() bool {
	for {
		f, dropped, state := p.conn.out.take(p.worker.poll.scratch[:], p.conn.engine.cfg.TimeNow)
		switch state {
		case outNothing:
			return false
		case outEnd:
			p.broken()
			return false
		}
		if f.kind == outTell {
			f.buf = p.conn.droppedText(dropped)
		}
		if len(f.buf) > 0 {
			p.frame, p.left = f, f.buf
			return true
		}
	}
}

// block waits for room in the socket.
func (p *polledConn) block() {
	p.blocked = p.conn.engine.cfg.TimeNow()
	if p.frame.kind > outText && p.frame.kind != outClose && p.frame.kind != outTell {
		p.left = bytes.Clone(p.left) // a control frame is in the scratch buffer of the worker
	}
	p.worker.poll.change(p.place, p.fd, unix.EPOLLIN|unix.EPOLLOUT)
}

// broken has the worker let go of the socket soon: not here, in the middle of what the session does.
func (p *polledConn) broken() {
	p.conn.out.kill()
	p.conn.post(connTask{kind: connBroken})
}
