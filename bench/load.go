//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	setupWait    = 15 * time.Second // for one call to come up
	setupHands   = 16               // calls that are set up at the same time
	ticksPerTurn = 20               // one packet time
	graceTicks   = 25 * ticksPerTurn
	lateFrame    = int64(60e6) // a frame that took three packet times is late
	remembered   = 128         // frames whose time of departure is known
	payloadPCMA  = 8
	speakChecks  = 50 // turns between looks at the texts for speakers
)

// leg is one call: the RTP side that the telephone plays, and the two WebSockets of its bot.
type leg struct {
	load  *load
	rtp   int
	links [2]*link // speak, listen

	rtpHead  [rtpBytes]byte
	rtpSent  uint32
	rtpTimes [remembered]int64
	wsSent   uint32
	wsTimes  [remembered]int64

	heard, spoken row
	window        [2][2]uint32 // frames that count, first and behind last: of RTP to WebSocket, of WebSocket to RTP

	lastSeq  uint16
	lastTime int64 // of the packet with lastSeq; 0: none yet
}

// Direction says what became of the frames of one direction that were sent while counting.
type Direction struct {
	Sent       int64 `json:"sent"`
	Arrived    int64 `json:"arrived"`
	Lost       int64 `json:"lost"`
	Late       int64 `json:"late"`
	Repeated   int64 `json:"repeated"`
	Silent     int64 `json:"silent"`     // packets or messages of silence that came while frames were sent
	Unreadable int64 `json:"unreadable"` // packets or messages that carry neither a frame nor silence
	Astray     int64 `json:"lost_track"` // how often so many frames were lost at once that latencies from there on may be too small
	Messages   int64 `json:"messages"`   // packets or messages that came while counting: the frames that CPU time is divided by

	Latency Percentiles `json:"latency"`
}

// load plays all calls of a round in one thread.
type load struct {
	codec  codec // of the WebSockets
	phone  codec // of RTP
	legs   []*leg
	gw     *gateway
	reader *stampedReader
	room   []byte
	speech [stamps][]byte // messages to speak
	sound  [stamps][]byte // payloads of RTP

	counting bool
	toWS     Direction
	toRTP    Direction
	wsTime   *histogram
	rtpTime  *histogram
	pacing   *histogram
	gaps     int64 // RTP sequence numbers that were skipped
	blocked  int64 // frames that a socket did not take
	lateness int64 // of the worst wake-up before and while counting

	before, after marks
}

// marks are the clocks at one end of the time that counts.
type marks struct {
	at, cpu, busy int64
	rss, threads  int
}

func newLoad(c codec, gw *gateway) *load {
	l := &load{
		codec: c, phone: newCodec("alaw"), gw: gw, reader: &stampedReader{}, room: make([]byte, maxRead),
		wsTime: newHistogram(), rtpTime: newHistogram(), pacing: newHistogram(),
	}
	for k := range l.speech {
		l.speech[k] = masked(opBinary, c.frame(levelOf(uint32(k))))
		l.sound[k] = l.phone.frame(levelOf(uint32(k)))
	}
	return l
}

// setUp brings all calls up, each with its two WebSockets, and returns how long that took.
func (l *load) setUp(ctx context.Context, s *server, calls int) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var bad failures
	var hands sync.WaitGroup
	var next atomic.Int64
	l.legs = make([]*leg, calls)
	began := time.Now()
	for range min(setupHands, calls) {
		hands.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= calls || ctx.Err() != nil {
					return
				}
				if err := l.setUpOne(ctx, s, i); err != nil {
					bad.add(fmt.Errorf("call %d of %d: %w", i+1, calls, err))
					cancel()
					return
				}
			}
		})
	}
	hands.Wait()
	return time.Since(began), errors.Join(bad.err(), s.err())
}

func (l *load) setUpOne(ctx context.Context, s *server, i int) error {
	ctx, cancel := context.WithTimeout(ctx, setupWait)
	defer cancel()
	fd, port, err := openUDP()
	if err != nil {
		return err
	}
	g := &leg{load: l, rtp: fd}
	g.rtpHead[0], g.rtpHead[1] = 0x80, payloadPCMA
	binary.BigEndian.PutUint32(g.rtpHead[8:], 0xbe000000+uint32(i))
	l.legs[i] = g
	number, callee := s.expect(i, port, false)
	id, err := l.gw.dial(ctx, number)
	if err != nil {
		return err
	}
	query := fmt.Sprintf("/?call=%s&format=%s&rate=%d", id, l.codec.name, l.codec.rate)
	if g.links[0], err = openLink(l.gw.speak, query, nil); err != nil {
		return err
	}
	if g.links[1], err = openLink(l.gw.listen, query, g.heardMessage); err != nil {
		return err
	}
	select {
	case media := <-callee.answered:
		if err := unix.Connect(fd, loopback(media.Port())); err != nil {
			return fmt.Errorf("connect to %v: %w", media, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the call did not come up: %w", ctx.Err())
	}
}

// close gives all sockets back.
func (l *load) close() {
	for _, g := range l.legs {
		if g == nil {
			continue
		}
		_ = unix.Close(g.rtp)
		for _, k := range g.links {
			if k != nil {
				k.close()
			}
		}
	}
}

// run plays all calls: a time to warm up, the time that counts, and a short time in which what is on its way
// may arrive. The goroutine keeps its thread; it must not be used for anything else afterwards.
func (l *load) run(ctx context.Context, core int, warm, count time.Duration) error {
	if err := ownThread(core); err != nil {
		return err
	}
	opens := int64(warm/time.Millisecond) / ticksPerTurn * ticksPerTurn
	closes := opens + int64(count/time.Millisecond)/ticksPerTurn*ticksPerTurn
	start := mono() + tick
	for t := range closes + graceTicks {
		at := start + t*tick + wander(t)
		late := sleepUntil(at) - at
		switch t {
		case opens:
			l.open()
		case closes:
			l.shut()
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if t < closes { // also before it counts: a burst of speech makes a queue that stays
			l.lateness = max(l.lateness, late)
		}
		l.turn(t)
	}
	return nil
}

// wander moves the sweep to and fro by a millisecond within two seconds. Profiles and the times in /proc/stat are
// samples taken at the system's ticks: a load in step with those would always be seen at work, or never.
func wander(t int64) int64 {
	const there, back = 1000, 2000 // ticks
	m := t % back
	return min(m, back-m) * tick / there
}

// turn serves a twentieth of the calls in each of its four duties, at different ticks of the packet time: what a
// call sends is answered before the next sending, and looked at in between, by the kernel's times of arrival.
func (l *load) turn(t int64) {
	each := func(offset int64, do func(*leg)) {
		for i := int((t + offset) % ticksPerTurn); i < len(l.legs); i += ticksPerTurn {
			do(l.legs[i])
		}
	}
	each(0, (*leg).sendRTP)
	each(7, (*leg).sendSpeech)
	each(13, (*leg).readListen)
	each(3, (*leg).readRTP)
	if t/ticksPerTurn%speakChecks == 0 {
		each(17, (*leg).readSpeak)
	}
}

// open begins to count.
func (l *load) open() {
	for _, g := range l.legs {
		g.window = [2][2]uint32{{g.rtpSent, ^uint32(0)}, {g.wsSent, ^uint32(0)}}
	}
	l.counting = true
	l.before = l.look()
}

// shut stops counting; what was sent meanwhile still counts when it arrives.
func (l *load) shut() {
	l.after = l.look()
	l.counting = false
	for _, g := range l.legs {
		g.window[0][1], g.window[1][1] = g.rtpSent, g.wsSent
		l.toWS.Sent += int64(g.rtpSent - g.window[0][0])
		l.toRTP.Sent += int64(g.wsSent - g.window[1][0])
	}
	l.after.rss, l.after.threads = l.gw.memory()
}

// look reads the clocks.
func (l *load) look() marks {
	m := marks{busy: coreBusy(l.gw.core)}
	m.cpu, m.at = l.gw.cpu(), mono()
	return m
}

// finish sums up after run.
func (l *load) finish() (toWS, toRTP Direction) {
	l.toWS.Lost, l.toRTP.Lost = l.toWS.Sent-l.toWS.Arrived, l.toRTP.Sent-l.toRTP.Arrived
	for _, g := range l.legs {
		l.toWS.Astray += int64(g.heard.astray)
		l.toRTP.Astray += int64(g.spoken.astray)
	}
	l.toWS.Latency, l.toRTP.Latency = l.wsTime.percentiles(), l.rtpTime.percentiles()
	return l.toWS, l.toRTP
}

// trouble returns what went wrong at the WebSockets, told once.
func (l *load) trouble() (closed, told int, example string) {
	for _, g := range l.legs {
		for _, k := range g.links {
			if k.closed {
				closed++
			}
			if k.errors > 0 {
				told, example = told+k.errors, k.lastError
			}
		}
	}
	return closed, told, example
}

func (g *leg) sendRTP() {
	p, k := &g.rtpHead, g.rtpSent
	binary.BigEndian.PutUint16(p[2:], uint16(k))
	binary.BigEndian.PutUint32(p[4:], k*phoneFrame)
	copy(p[12:], g.load.sound[k%stamps])
	now := time.Now().UnixNano()
	if send(g.rtp, p[:]) != nil {
		g.load.blocked++
		return
	}
	g.rtpTimes[k%remembered] = now
	g.rtpSent++
}

func (g *leg) sendSpeech() {
	k, out := g.wsSent, g.links[0]
	if out.closed {
		return
	}
	now := time.Now().UnixNano()
	if send(out.fd, g.load.speech[k%stamps]) != nil {
		g.load.blocked++
		return
	}
	g.wsTimes[k%remembered] = now
	g.wsSent++
}

func (g *leg) readListen() { g.links[1].pump(g.load.reader, g.load.room) }

func (g *leg) readSpeak() { g.links[0].pump(g.load.reader, g.load.room) }

// heardMessage takes what a listener hears.
func (g *leg) heardMessage(payload []byte, at int64) {
	l := g.load
	if l.counting {
		l.toWS.Messages++
	}
	if len(payload) != l.codec.frameBytes() {
		l.toWS.Unreadable++
		return
	}
	is := l.codec.read(payload)
	frame, verdict := g.heard.take(is, g.rtpSent)
	g.count(0, arrival{frame, verdict, is, at - g.rtpTimes[frame%remembered]})
}

// readRTP takes what the telephone hears.
func (g *leg) readRTP() {
	l := g.load
	for {
		n, at, err := l.reader.read(g.rtp, l.room)
		if err != nil {
			return
		}
		p := l.room[:n]
		if n < 12 || p[0]>>6 != 2 || p[1]&127 != payloadPCMA { // RTCP, or what has no payload
			continue
		}
		g.pace(binary.BigEndian.Uint16(p[2:]), at)
		if l.counting {
			l.toRTP.Messages++
		}
		if n != rtpBytes {
			l.toRTP.Unreadable++
			continue
		}
		is := l.phone.read(p[12:])
		frame, verdict := g.spoken.take(is, g.wsSent)
		g.count(1, arrival{frame, verdict, is, at - g.wsTimes[frame%remembered]})
	}
}

// pace compares the distance of two packets with the 20 ms that it should be.
func (g *leg) pace(seq uint16, at int64) {
	step := int64(seq - g.lastSeq)
	if g.lastTime != 0 && g.load.counting && step > 0 && step < 1000 {
		g.load.gaps += step - 1
		g.load.pacing.add(at - g.lastTime - step*packetMS*1e6)
	}
	g.lastSeq, g.lastTime = seq, at
}

// arrival is one packet or message as the receiver sees it.
type arrival struct {
	frame   uint32
	verdict verdict
	is      reading
	took    int64 // nanoseconds
}

// count notes one arrival; direction 0 is RTP to WebSocket.
func (g *leg) count(direction int, a arrival) {
	l := g.load
	d, times, window := &l.toWS, l.wsTime, g.window[direction]
	if direction == 1 {
		d, times = &l.toRTP, l.rtpTime
	}
	switch {
	case a.verdict == fresh && a.frame >= window[0] && a.frame < window[1]:
		d.Arrived++
		times.add(a.took)
		if a.took > lateFrame {
			d.Late++
		}
	case !l.counting || a.verdict == fresh:
	case a.verdict == repeated:
		d.Repeated++
	case a.is.silent:
		d.Silent++
	default:
		d.Unreadable++
	}
}
