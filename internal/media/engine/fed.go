package engine

import (
	"fmt"
	"net"
	"time"

	"phonesocket/internal/media/session"
)

const (
	// readBuffers is how many buffers a reader has: one is read into while the worker
	// takes the other apart. When both are with the worker the reader waits for it.
	readBuffers = 2
	// speakBuffer and listenBuffer are their sizes in bytes: clients send audio only to speak.
	speakBuffer  = 4096
	listenBuffer = 512
	// sendBuffer bounds what the system queues for a listener, in bytes. With the default of
	// several megabytes a listener that hung for a while would get minutes of old audio.
	sendBuffer = 64 << 10
)

// startFed starts the goroutines that read and write the connection. They are waited for by w.
func (c *Conn) startFed(w *worker) {
	size := speakBuffer
	if c.cfg.Role == Listen {
		size = listenBuffer
		if tcp, ok := c.net.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer) // best effort: only memory and age of the audio depend on it
		}
	}
	for range readBuffers {
		c.free <- make([]byte, size)
	}
	c.running.Store(2)
	w.sockets.Go(c.readLoop)
	w.sockets.Go(c.writeLoop)
}

// stopFed has both goroutines end soon. It does not wait.
func (c *Conn) stopFed() {
	c.out.kill()
	close(c.stop)                          // before the deadline: see writeLoop
	_ = c.net.SetDeadline(time.Unix(1, 0)) // a closed connection does not mind
}

// readLoop hands what the client sends to the worker until the connection ends.
func (c *Conn) readLoop() {
	defer c.fedEnded()
	for {
		var buf []byte
		select {
		case buf = <-c.free:
		case <-c.stop:
			return
		}
		n, err := c.net.Read(buf)
		if n > 0 {
			c.post(connTask{kind: connBytes, buf: buf[:n]})
		} else {
			c.free <- buf
		}
		if err != nil {
			return
		}
	}
}

// writeLoop writes what is queued until the connection ends.
func (c *Conn) writeLoop() {
	defer c.fedEnded()
	var scratch [maxControl + 2]byte
	var text []byte
	var deadline time.Time
	for {
		f, dropped, ok := c.out.next(scratch[:], c.engine.cfg.TimeNow)
		if !ok {
			return
		}
		if f.kind == outTell {
			text = c.droppedText(text[:0], dropped)
			f.buf = text
		}
		// The deadline is moved only now and then: it costs as much as a small write.
		limit := c.engine.cfg.WriteTimeout
		if now := c.engine.cfg.TimeNow(); deadline.Sub(now) < limit*3/4 {
			deadline = now.Add(limit)
			if c.net.SetWriteDeadline(deadline) != nil {
				return
			}
			select {
			case <-c.stop: // stopFed may have been before: its deadline must win
				return
			default:
			}
		}
		if _, err := c.net.Write(f.buf); err != nil {
			return
		}
		c.out.recycle(f)
	}
}

// droppedText appends the text frame that tells of dropped audio, or nothing when the dialect has none.
func (c *Conn) droppedText(dst []byte, frames uint64) []byte {
	ms := int64(frames) * session.FrameMS
	text, ok := c.cfg.Dialect.AppendEvent(nil, session.Event{
		Kind: session.KindError, Code: CodeDropped, DiscardedMS: ms,
		Message: fmt.Sprintf("%d ms of audio were lost because this socket is read too slowly", ms),
	})
	if !ok {
		return dst
	}
	return appendText(dst, text)
}

// fedEnded runs at the end of each of the two goroutines: the first has the worker let go
// of the socket, which ends the second, and that one closes the connection.
func (c *Conn) fedEnded() {
	c.post(connTask{kind: connBroken})
	if c.running.Add(-1) == 0 {
		c.finish()
	}
}
