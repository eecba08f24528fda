package phonenet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Counters are totals since the start.
type Counters struct {
	Requests            map[string]int // by method, without those that were dropped unread
	Retransmits         int            // requests that repeated an earlier one
	KeepAlives          int            // CRLF pings
	Malformed           int            // what could not be read
	Strays              int            // ACKs and answers that belong to nothing
	Shed                int            // requests dropped because too many were open
	Challenges          int            // 401 and 407 sent
	WrongPasswords      int
	StaleNonces         int
	DigestURIMismatches int // right answers whose uri was not the Request-URI
}

// waiter is someone who waits until check is true.
type waiter struct {
	check func() bool
	done  chan struct{}
}

// notify wakes those whose wait is over. The loop calls it after every event.
func (n *Net) notify() {
	n.waiters = slices.DeleteFunc(n.waiters, func(w *waiter) bool {
		if !w.check() {
			return false
		}
		close(w.done)
		return true
	})
}

// wait returns when check, which runs on the loop, is true.
func (n *Net) wait(ctx context.Context, check func() bool) error {
	w := &waiter{check: check, done: make(chan struct{})}
	if !n.post(func() { n.waiters = append(n.waiters, w) }) {
		return ErrClosed
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		n.post(func() {
			n.waiters = slices.DeleteFunc(n.waiters, func(o *waiter) bool { return o == w })
		})
		return ctx.Err()
	case <-n.done:
		select {
		case <-w.done:
			return nil
		default:
			return ErrClosed
		}
	}
}

// SetBehaviour changes how the network misbehaves, from the next message on.
func (n *Net) SetBehaviour(b Behaviour) { n.ask(func() { n.behaviour = b }) }

// Counters returns the totals.
func (n *Net) Counters() Counters {
	var c Counters
	n.ask(func() {
		c = n.counters
		c.Requests = maps.Clone(n.counters.Requests)
	})
	return c
}

// WaitCounters waits until the totals satisfy the condition, which must be quick and touch nothing else.
func (n *Net) WaitCounters(ctx context.Context, ok func(Counters) bool) error {
	err := n.wait(ctx, func() bool { return ok(n.counters) })
	if err != nil {
		return fmt.Errorf("wait for messages: %w", err)
	}
	return nil
}

// Registrations returns all contacts whose lease runs, ordered by user.
func (n *Net) Registrations() []Registration {
	var all []Registration
	n.ask(func() { all = n.registrations() })
	return all
}

func (n *Net) registrations() []Registration {
	var all []Registration
	for _, list := range n.bindings {
		for _, b := range list {
			all = append(all, b.Registration)
		}
	}
	slices.SortStableFunc(all, func(a, b Registration) int { return strings.Compare(a.User, b.User) })
	return all
}

// WaitRegistered waits until the user has a contact and returns the latest.
func (n *Net) WaitRegistered(ctx context.Context, user string) (Registration, error) {
	return n.WaitRegistration(ctx, func(r Registration) bool { return r.User == user })
}

// WaitRegistration waits for a contact that satisfies the condition, which must be quick and touch nothing else.
func (n *Net) WaitRegistration(ctx context.Context, ok func(Registration) bool) (Registration, error) {
	var found Registration
	err := n.wait(ctx, func() bool {
		for _, r := range slices.Backward(n.registrations()) {
			if ok(r) {
				found = r
				return true
			}
		}
		return false
	})
	if err != nil {
		return Registration{}, fmt.Errorf("wait for a registration: %w", err)
	}
	return found, nil
}

// WaitUnregistered waits until the user has no contact.
func (n *Net) WaitUnregistered(ctx context.Context, user string) error {
	err := n.wait(ctx, func() bool { return len(n.bindings[user]) == 0 })
	if err != nil {
		return fmt.Errorf("wait until %s is unregistered: %w", user, err)
	}
	return nil
}

// Calls returns the running and the remembered calls, oldest first.
func (n *Net) Calls() []Call {
	var all []Call
	n.ask(func() {
		for _, leg := range n.calls {
			all = append(all, leg.snapshot())
		}
	})
	return all
}

// WaitCall waits for a call that satisfies the condition, which must be quick
// and touch nothing else, and returns the latest such call.
func (n *Net) WaitCall(ctx context.Context, ok func(Call) bool) (Call, error) {
	var found Call
	err := n.wait(ctx, func() bool {
		for _, leg := range slices.Backward(n.calls) {
			if c := leg.snapshot(); ok(c) {
				found = c
				return true
			}
		}
		return false
	})
	if err != nil {
		return Call{}, fmt.Errorf("wait for a call: %w", err)
	}
	return found, nil
}

// WaitState waits until a call is in the state and returns the latest such call.
func (n *Net) WaitState(ctx context.Context, s State) (Call, error) {
	return n.WaitCall(ctx, func(c Call) bool { return c.State == s })
}

// Heard returns what the callee has heard so far: 8 kHz samples from the first
// packet on, zeros where packets are missing, as long as Config.Record allows.
// The latest ten ended calls keep their recordings.
func (n *Net) Heard(ctx context.Context, callID string) ([]int16, error) {
	var m *media
	n.ask(func() {
		if leg := n.find(callID); leg != nil {
			m = leg.media
		}
	})
	if m == nil {
		return nil, fmt.Errorf("recording of %s: %w", callID, errNoRecording)
	}
	pcm, err := m.recording(ctx)
	if err != nil {
		return nil, fmt.Errorf("recording of %s: %w", callID, err)
	}
	return pcm, nil
}

var errNoRecording = errors.New("there is no such call, or it is too long ago")

// find returns the latest call with the Call-ID.
func (n *Net) find(callID string) *Leg {
	for _, leg := range slices.Backward(n.calls) {
		if leg.call.ID == callID {
			return leg
		}
	}
	return nil
}

// result is the answer to a request that somebody waits for.
type result struct {
	code int
	err  error
}

// order runs f on the loop with the running call and waits for the caller's answer.
func (n *Net) order(ctx context.Context, what, callID string, f func(*Leg, func(int, error))) (int, error) {
	answer := make(chan result, 1)
	done := func(code int, err error) { answer <- result{code, err} }
	n.ask(func() {
		leg := n.find(callID)
		if leg == nil || leg.over() || n.closing {
			done(0, errNoCall)
			return
		}
		f(leg, done)
	})
	select {
	case r := <-answer:
		if r.err != nil {
			return r.code, fmt.Errorf("%s %s: %w", what, callID, r.err)
		}
		return r.code, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s %s: %w", what, callID, ctx.Err())
	}
}

// Hangup lets the callee hang up, and returns the status the caller answered the BYE with.
func (n *Net) Hangup(ctx context.Context, callID string) (int, error) {
	return n.order(ctx, "hang up", callID, func(leg *Leg, done func(int, error)) { leg.bye(EndLocalBye, done) })
}

// Hold lets the callee put the caller on hold with a re-INVITE, and returns the
// status of the answer. The call must have got its ACK.
func (n *Net) Hold(ctx context.Context, callID string) (int, error) {
	return n.order(ctx, "hold", callID, func(leg *Leg, done func(int, error)) { leg.reoffer(sendonly, done) })
}

// Resume takes the caller back with a re-INVITE, and returns the status of the answer.
func (n *Net) Resume(ctx context.Context, callID string) (int, error) {
	return n.order(ctx, "resume", callID, func(leg *Leg, done func(int, error)) { leg.reoffer(sendrecv, done) })
}

// Ping sends OPTIONS within a call, and returns the status of the answer.
func (n *Net) Ping(ctx context.Context, callID string) (int, error) {
	return n.order(ctx, "ping", callID, func(leg *Leg, done func(int, error)) {
		n.send(leg.request(sip.OPTIONS), leg.from, func(res *sip.Response, err error) { done(statusOf(res), err) })
	})
}

// Request sends a request outside of calls (OPTIONS, INVITE, NOTIFY, …) to the
// latest contact of a user, the way its REGISTER came, and returns the status of
// the answer. An INVITE that is answered with 200 is acknowledged and nothing more.
func (n *Net) Request(ctx context.Context, method, user string, body []byte) (int, error) {
	answer := make(chan result, 1)
	n.ask(func() {
		list := n.bindings[user]
		if len(list) == 0 || n.closing {
			answer <- result{0, errors.New("the user is not registered")}
			return
		}
		b := list[len(list)-1]
		n.send(n.outside(sip.RequestMethod(method), b, body), b.from, func(res *sip.Response, err error) {
			answer <- result{statusOf(res), err}
		})
	})
	select {
	case r := <-answer:
		if r.err != nil {
			return r.code, fmt.Errorf("send %s to %s: %w", method, user, r.err)
		}
		return r.code, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("send %s to %s: %w", method, user, ctx.Err())
	}
}

func (n *Net) outside(method sip.RequestMethod, b *binding, body []byte) *sip.Request {
	req := n.newRequest(method, b.uri, b.from)
	from := sip.FromHeader{Address: hostURI("phonenet", n.sockets.local(b.from), "udp"), Params: sip.NewParams()}
	from.Params.Add("tag", token())
	req.AppendHeader(&from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: b.User, Host: n.cfg.Realm}})
	callID := sip.CallIDHeader(token())
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	req.AppendHeader(n.contact("phonenet", b.from))
	req.SetBody(nil)
	setSDP(req, body)
	return req
}

// Left is how much of the lease is left.
func (r Registration) Left(now time.Time) time.Duration { return r.Expires.Sub(now) }
