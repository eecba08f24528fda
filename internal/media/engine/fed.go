package engine

import (
	"net"
	"sync/atomic"
	"time"
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

// fedCarrier carries any net.Conn with two goroutines, one that reads and one that writes.
type fedCarrier struct {
	conn    *Conn
	net     net.Conn
	free    chan []byte   // empty buffers of the reader
	halt    chan struct{} // closed when the goroutines must not wait any more
	running atomic.Int32  // those that have not ended
}

// start starts the goroutines. They are waited for by w.
func (f *fedCarrier) start(w *worker) {
	f.free, f.halt = make(chan []byte, readBuffers), make(chan struct{})
	size := speakBuffer
	if f.conn.cfg.Role == Listen {
		size = listenBuffer
		if tcp, ok := f.net.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer) // best effort: only memory and age of the audio depend on it
		}
	}
	for range readBuffers {
		f.free <- make([]byte, size)
	}
	f.running.Store(2)
	w.sockets.Go(f.readLoop)
	w.sockets.Go(f.writeLoop)
}

func (f *fedCarrier) enter(*worker) {}
func (f *fedCarrier) exit(*worker)  {}

// push does nothing: the outbox wakes the writer by itself.
func (f *fedCarrier) push() {}

// stuck is false: a write has its own deadline.
func (f *fedCarrier) stuck(time.Time) bool { return false }

// stop has both goroutines see a deadline in the past and end soon. Closing is left to them,
// because it can block.
func (f *fedCarrier) stop() {
	close(f.halt)                          // before the deadline: see writeLoop
	_ = f.net.SetDeadline(time.Unix(1, 0)) // a closed connection does not mind
}

func (f *fedCarrier) close() { f.net.Close() }

// readLoop hands what the client sends to the worker until the connection ends.
func (f *fedCarrier) readLoop() {
	defer f.ended()
	for {
		var buf []byte
		select {
		case buf = <-f.free:
		case <-f.halt:
			return
		}
		n, err := f.net.Read(buf)
		if n > 0 {
			f.conn.post(connTask{kind: connBytes, buf: buf[:n], back: f.free})
		} else {
			f.free <- buf
		}
		if err != nil {
			return
		}
	}
}

// writeLoop writes what is queued until the connection ends.
func (f *fedCarrier) writeLoop() {
	defer f.ended()
	var scratch [maxControl + 2]byte
	var deadline time.Time
	cfg := &f.conn.engine.cfg
	for {
		out, dropped, ok := f.conn.out.next(scratch[:], cfg.TimeNow)
		if !ok {
			return
		}
		if out.kind == outTell {
			out.buf = f.conn.droppedText(dropped)
		}
		// The deadline is moved only now and then: it costs as much as a small write.
		if now := cfg.TimeNow(); deadline.Sub(now) < cfg.WriteTimeout*3/4 {
			deadline = now.Add(cfg.WriteTimeout)
			if f.net.SetWriteDeadline(deadline) != nil {
				return
			}
			select {
			case <-f.halt: // stop may have been before: its deadline must win
				return
			default:
			}
		}
		if _, err := f.net.Write(out.buf); err != nil {
			return
		}
		f.conn.out.recycle(out)
	}
}

// ended runs at the end of each of the two goroutines: the first has the worker let go
// of the socket, which ends the second, and that one closes the connection.
func (f *fedCarrier) ended() {
	f.conn.post(connTask{kind: connBroken})
	if f.running.Add(-1) == 0 {
		f.conn.finish()
	}
}
