package engine

import (
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// kinds of what waits to be written.
const (
	outAudio uint8 = iota // may be dropped, oldest first
	outKept               // audio that may not: a WAV header, what was heard before anybody listened
	outText               // never dropped
	outClose              // the last frame
	outPing               // jumps the queue, as does outPong
	outPong
	outTell // not a frame: time to say that audio was dropped
)

const (
	// maxTexts bounds the texts that wait for a client that makes the gateway answer but does not read.
	maxTexts = 4096
	// keepBuffers is how many empty buffers an outbox keeps for later frames.
	keepBuffers = 8
	// tellEvery is the shortest time between two texts about dropped audio.
	tellEvery = time.Second
)

// outFrame is one encoded WebSocket frame.
type outFrame struct {
	buf  []byte
	kind uint8
}

// outbox is the bounded queue in front of one WebSocket: between a worker and the goroutine that writes,
// or between a worker and what the system takes at once. The worker puts and never waits; when audio is over the limit the oldest goes and is counted.
type outbox struct {
	mu    sync.Mutex
	ready sync.Cond

	ring  []outFrame // a ring: length is a power of two
	first int
	count int
	audio int // droppable frames in the ring
	texts int
	limit int // droppable frames allowed

	empty [][]byte // buffers to use again

	pingDue, pongDue bool
	pong             [maxControl]byte
	pongLen          int

	untold  uint64 // audio frames dropped since the client was last told
	toldAt  time.Time
	closing bool // a close frame was queued: nothing more is taken
	sent    bool // the close frame was written
	final   bool // the peer has closed too: after our close frame the connection ends
	dead    bool
}

func newOutbox(limit int) *outbox {
	o := &outbox{ring: make([]outFrame, 8), limit: limit}
	o.ready.L = &o.mu
	return o
}

// put queues one message. It returns how many frames of audio had to go for it, and false
// when the queue of texts is full: the client does not read, and the socket must be given up.
func (o *outbox) put(kind uint8, payload []byte) (dropped uint64, ok bool) {
	op := ws.OpBinary
	if kind == outText {
		op = ws.OpText
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.dead {
		return 0, true
	}
	if kind == outText && o.texts >= maxTexts {
		return 0, false
	}
	for kind == outAudio && o.audio >= o.limit && o.dropOldest() {
		dropped++
	}
	o.untold += dropped
	buf := appendHeader(o.buffer(), op, len(payload))
	o.push(outFrame{buf: append(buf, payload...), kind: kind})
	o.ready.Signal()
	return dropped, true
}

// close queues a close frame behind everything that waits.
func (o *outbox) close(code ws.StatusCode, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.dead {
		return
	}
	o.closing = true
	o.push(outFrame{buf: appendClose(o.buffer(), code, reason), kind: outClose})
	o.ready.Signal()
}

// answerClose has the connection end because the peer closes: what waits is thrown away, the
// close frame is written if it was not yet, and next then returns false.
func (o *outbox) answerClose(code ws.StatusCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing, o.final = true, true
	if !o.sent {
		for o.count > 0 {
			o.pop()
		}
		o.push(outFrame{buf: appendClose(nil, code, ""), kind: outClose})
	}
	o.ready.Signal()
}

// kill makes next return false at once.
func (o *outbox) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
	o.ready.Signal()
}

func (o *outbox) ping() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pingDue = true
	o.ready.Signal()
}

// answerPing has a pong sent before anything else that waits.
//
// "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to
// previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most
// recently processed Ping frame." RFC 6455 section 5.5.3: so pings cannot fill memory.
func (o *outbox) answerPing(payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pongLen = copy(o.pong[:], payload)
	o.pongDue = true
	o.ready.Signal()
}

// next waits for something to write and returns it, as take does. It returns false when the connection is to end.
func (o *outbox) next(scratch []byte, clock func() time.Time) (f outFrame, dropped uint64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		f, dropped, state := o.head(scratch, clock)
		if state != outNothing {
			return f, dropped, state == outReady
		}
		o.ready.Wait()
	}
}

// What take found.
const (
	outNothing = iota
	outReady
	outEnd // the connection is to end
)

// take returns what is to be written next, without waiting; control frames are built in scratch.
// For outTell, dropped is the number of frames to speak of.
func (o *outbox) take(scratch []byte, clock func() time.Time) (f outFrame, dropped uint64, state int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.head(scratch, clock)
}

func (o *outbox) head(scratch []byte, clock func() time.Time) (f outFrame, dropped uint64, state int) {
	switch {
	case o.dead || o.sent && o.final:
		return f, 0, outEnd
	case o.sent:
		// "After sending a control frame indicating the connection should be closed, a peer
		// does not send any further data". RFC 6455 section 1.4.
		return f, 0, outNothing
	case o.pongDue:
		o.pongDue = false
		b := appendHeader(scratch[:0], ws.OpPong, o.pongLen)
		return outFrame{buf: append(b, o.pong[:o.pongLen]...), kind: outPong}, 0, outReady
	case o.pingDue:
		o.pingDue = false
		return outFrame{buf: appendHeader(scratch[:0], ws.OpPing, 0), kind: outPing}, 0, outReady
	case o.count == 0:
		return f, 0, outNothing
	}
	if o.untold > 0 && o.ring[o.first].kind != outKept {
		if now := clock(); now.Sub(o.toldAt) >= tellEvery {
			n := o.untold
			o.untold, o.toldAt = 0, now
			return outFrame{kind: outTell}, n, outReady
		}
	}
	f = o.pop()
	if f.kind == outClose {
		o.sent = true
	}
	return f, 0, outReady
}

// recycle takes back the buffer of a written frame.
func (o *outbox) recycle(f outFrame) {
	if f.kind > outText {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(f.buf)
}

// buffer returns an empty buffer.
func (o *outbox) buffer() []byte {
	last := len(o.empty) - 1
	if last < 0 {
		return nil
	}
	b := o.empty[last]
	o.empty = o.empty[:last]
	return b[:0]
}

func (o *outbox) keep(b []byte) {
	if len(o.empty) < keepBuffers {
		o.empty = append(o.empty, b)
	}
}

func (o *outbox) push(f outFrame) {
	if o.count == len(o.ring) {
		grown := make([]outFrame, 2*len(o.ring))
		n := copy(grown, o.ring[o.first:])
		copy(grown[n:], o.ring[:o.first])
		o.ring, o.first = grown, 0
	}
	o.ring[(o.first+o.count)&(len(o.ring)-1)] = f
	o.count++
	o.tally(f.kind, 1)
}

func (o *outbox) pop() outFrame {
	f := o.ring[o.first]
	o.ring[o.first] = outFrame{}
	o.first = (o.first + 1) & (len(o.ring) - 1)
	o.count--
	o.tally(f.kind, -1)
	return f
}

func (o *outbox) tally(kind uint8, n int) {
	switch kind {
	case outAudio:
		o.audio += n
	case outText:
		o.texts += n
	}
}

// dropOldest removes the first frame of audio that may go; what was queued before it moves up.
func (o *outbox) dropOldest() bool {
	mask := len(o.ring) - 1
	for i := range o.count {
		at := (o.first + i) & mask
		if o.ring[at].kind != outAudio {
			continue
		}
		o.keep(o.ring[at].buf)
		for ; i > 0; i-- {
			to, from := (o.first+i)&mask, (o.first+i-1)&mask
			o.ring[to] = o.ring[from]
		}
		o.ring[o.first] = outFrame{}
		o.first = (o.first + 1) & mask
		o.count--
		o.audio--
		return true
	}
	return false
}
