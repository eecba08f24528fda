package session

import (
	"encoding/binary"
	"time"

	"phonesocket/internal/media/playout"
)

// early is speech that comes before the codec of the call is known: 8 kHz
// samples, 16 bit, little-endian, and the marks between them.
type early struct {
	data    playout.FIFO
	written int64 // bytes
	marks   []earlyMark

	discarded, refused int64 // bytes
}

type earlyMark struct {
	name string
	at   int64 // in bytes written
}

const (
	earlyBytesPerMS = 2 * bytesPerMS
	maxEarlyMarks   = 4096
)

// write keeps samples up to limit bytes and returns how many were kept.
func (e *early) write(pcm []int16, limit int) int {
	var buf [2 * wireFrame]byte
	kept := 0
	for len(pcm) > 0 {
		n := min(len(pcm), wireFrame, max(0, limit-e.data.Len())/2)
		if n == 0 {
			e.refused += int64(2 * len(pcm))
			break
		}
		for i, v := range pcm[:n] {
			binary.LittleEndian.PutUint16(buf[2*i:], uint16(v))
		}
		e.data.Write(buf[:2*n])
		e.written += int64(2 * n)
		kept += n
		pcm = pcm[n:]
	}
	return kept
}

// clear throws everything away and returns the marks that waited and how many
// bytes were lost.
func (e *early) clear() (marks []earlyMark, bytes int) {
	marks, bytes = e.marks, e.data.Len()
	e.data.Truncate(0)
	e.marks = nil
	e.written -= int64(bytes)
	e.discarded += int64(bytes)
	return marks, bytes
}

// moveEarly puts the early speech and its marks into the queue, in the codec
// of the wire.
func (s *Session) moveEarly(now time.Time) {
	e := &s.early
	var raw [2 * wireFrame]byte
	var pcm [wireFrame]int16
	var wire [wireFrame]byte
	at := e.written - int64(e.data.Len())
	for e.data.Len() > 0 || len(e.marks) > 0 {
		if len(e.marks) > 0 && e.marks[0].at <= at {
			s.queue.Mark(e.marks[0].name)
			e.marks = e.marks[1:]
			continue
		}
		limit := len(raw)
		if len(e.marks) > 0 {
			limit = int(min(int64(limit), e.marks[0].at-at))
		}
		n := e.data.Read(raw[:limit])
		if n == 0 {
			at = e.written // marks behind the end pass with it
			continue
		}
		at += int64(n)
		for i := range n / 2 {
			pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
		s.codec.encode(wire[:n/2], pcm[:n/2])
		s.queue.Write(now, wire[:n/2])
	}
	s.sendPassed()
}
