package engine

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollEvents is how many events are taken from the system at once.
	pollEvents = 256
	// pollBuffer is the largest piece taken from one socket at once, in bytes. A client that sends
	// more gets its next turn after the others.
	pollBuffer = 16 << 10
	// timerSlack is how late the system may wake a worker to save energy, in nanoseconds; the default is 50 µs.
	timerSlack = 1000
)

// pollable is a socket in an epoll set.
type pollable interface {
	// ready serves the socket once; events is why. It must take at least something, or the
	// poller will call again at once.
	ready(w *worker, now time.Time, events uint32)
}

// poller is the rest of a worker that serves raw descriptors itself. Its descriptors are level
// triggered and reads take one piece each, so a socket that has more is heard again after the others.
//
// It sleeps in one of two ways. While load is low it blocks in epoll_wait: each packet is carried at once.
// From meter.above on it sleeps drainEvery at most, or until a call ticks, and serves everything that came
// meanwhile: the wake-ups, which are then a fifth of the cost, become few.
type poller struct {
	ep, event, timer int
	places           []place
	free             []int32 // empty places
	events           [pollEvents]unix.EpollEvent
	got              int       // of them, not served yet
	armed            time.Time // what the timer is set to
	begin            time.Time // the same instant as beginMono on the clock of the system
	beginMono        int64

	// for the sockets, of which one is served at a time
	buf     [pollBuffer]byte
	scratch [maxControl + 2]byte
	dgram   datagram
}

// place is what an event names: an index and a generation, so that an event of a socket that was
// closed meanwhile never reaches the next one in its place.
type place struct {
	target     pollable
	generation int32
}

func newPoller(now time.Time) (*poller, error) {
	p := &poller{ep: -1, event: -1, timer: -1, begin: now, beginMono: monotonic()}
	var err error
	if p.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
			p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		}
	}
	// Edge triggered, so that neither ever has to be read.
	for _, fd := range []int{p.event, p.timer} {
		if err == nil {
			err = unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: -1})
		}
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("make epoll set: %w", err)
	}
	p.dgram.init()
	return p, nil
}

// pin gives the worker a thread of its own. It is never given back: its timers are
// sharper than those of other threads.
func (p *poller) pin() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0) // best effort: a little later otherwise
}

func (p *poller) close() {
	for _, fd := range []int{p.ep, p.event, p.timer} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (p *poller) wake() {
	one := [8]byte{}
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.event, one[:]) // the counter is far from full
}

func (p *poller) wait(w *worker, until time.Time, hurry bool) {
	switch {
	case w.meter.draining:
		if !hurry {
			p.pause(w, until)
		}
		p.got = p.poll(0)
	case hurry || !w.inbox.doze():
		p.got = p.poll(0)
	default:
		p.arm(until)
		w.meter.sleeps(w.engine.cfg.TimeNow())
		p.got = p.poll(-1)
		w.meter.wakes(w.engine.cfg.TimeNow())
	}
}

// pause sleeps until the next tick, drainEvery at most.
func (p *poller) pause(w *worker, until time.Time) {
	now := w.engine.cfg.TimeNow()
	most := now.Add(drainEvery)
	if until.IsZero() || most.Before(until) {
		until = most
	}
	w.meter.sleeps(now)
	at := unix.NsecToTimespec(p.monotonic(until))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) // a signal only makes it shorter
	w.meter.wakes(w.engine.cfg.TimeNow())
}

// serve gives the events to their sockets and keeps the clock meanwhile.
func (p *poller) serve(w *worker) (more bool) {
	n := p.got
	p.got = 0
	var now time.Time
	for i := range n {
		if i%lookAfter == 0 {
			now = w.engine.cfg.TimeNow()
			w.onTime(now)
		}
		e := &p.events[i]
		if e.Fd < 0 {
			continue // the inbox or the clock: the loop looks after both
		}
		if at := &p.places[e.Fd]; at.target != nil && at.generation == e.Pad {
			w.meter.events++
			at.target.ready(w, now, e.Events)
		}
	}
	return n == pollEvents
}

// poll takes events from the system; it blocks when ms is -1.
func (p *poller) poll(ms int) int {
	n, err := unix.EpollWait(p.ep, p.events[:], ms)
	if err != nil {
		return 0 // a signal
	}
	return n
}

// arm sets the timer. An absolute time needs no new arming as long as it stays the next one.
func (p *poller) arm(until time.Time) {
	if until.Equal(p.armed) {
		return
	}
	p.armed = until
	var spec unix.ItimerSpec // zero: no timer
	if !until.IsZero() {
		spec.Value = unix.NsecToTimespec(max(p.monotonic(until), 1))
	}
	_ = unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &spec, nil) // it cannot fail with these arguments
}

// monotonic converts a time to the clock of the system.
func (p *poller) monotonic(t time.Time) int64 { return p.beginMono + int64(t.Sub(p.begin)) }

func monotonic() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail with these arguments
	return now.Nano()
}

// add puts a descriptor into the set; the place is what change and remove want.
func (p *poller) add(fd int, target pollable) (int32, error) {
	if len(p.free) == 0 {
		p.places = append(p.places, place{})
		p.free = append(p.free, int32(len(p.places)-1))
	}
	at := p.free[len(p.free)-1]
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: at, Pad: p.places[at].generation}
	if err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return -1, os.NewSyscallError("epoll_ctl", err)
	}
	p.free = p.free[:len(p.free)-1]
	p.places[at].target = target
	return at, nil
}

// change asks for other events.
func (p *poller) change(at int32, fd int, events uint32) {
	e := unix.EpollEvent{Events: events, Fd: at, Pad: p.places[at].generation}
	_ = unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, fd, &e) // it cannot fail for a descriptor in the set
}

// remove takes a descriptor out of the set; events that were taken already are forgotten.
func (p *poller) remove(at int32, fd int) {
	_ = unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil) // it cannot fail for a descriptor in the set
	p.places[at].target = nil
	p.places[at].generation++
	p.free = append(p.free, at)
}
