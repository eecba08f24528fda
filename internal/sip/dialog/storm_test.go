package dialog

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

// storm is a network that loses 5 %, doubles 20 % and delays everything by up to
// 200 ms, so that messages overtake each other; behind it, a callee that
// answers, is busy, or lets it ring.
type storm struct {
	mu      sync.Mutex
	rng     *rand.Rand
	deliver func(string)
	calls   map[string]*callee // by branch of the INVITE
}

// callee is the far end of one INVITE.
type callee struct {
	s      *storm
	invite siptest.Message
	last   string // the answer that a repeated INVITE gets
	final  int
	acked  bool
	over   bool // BYE came
}

// pass brings something through the network: no, one, or two times.
func (s *storm) pass(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copies := 1
	switch p := s.rng.Float64(); {
	case p < 0.05:
		copies = 0
	case p < 0.25:
		copies = 2
	}
	for range copies {
		time.AfterFunc(time.Duration(s.rng.IntN(200))*time.Millisecond, f)
	}
}

// send takes what our side sends.
func (s *storm) send(m siptest.Message) { s.pass(func() { s.receive(m) }) }

func (s *storm) say(text string) { s.pass(func() { s.deliver(text) }) }

func (s *storm) receive(m siptest.Message) {
	s.mu.Lock()
	var out []string
	branch := m.Param("Via", "branch")
	c := s.calls[branch]
	switch {
	case m.Is("INVITE") && c == nil:
		c = &callee{s: s, invite: m, last: siptest.Answer(m, 100, "")}
		s.calls[branch] = c
		out = append(out, c.last)
		c.begin()
	case m.Is("INVITE"):
		out = append(out, c.last)
	case m.Is("CANCEL"):
		out = append(out, siptest.Answer(m, 200, "x"))
		if c != nil && c.final == 0 {
			c.finish(487)
		}
	case m.Is("ACK"):
		for _, c := range s.calls {
			if c.invite.Header("Call-ID") == m.Header("Call-ID") {
				c.acked = true
			}
		}
	case m.Is("BYE"):
		for _, c := range s.calls {
			c.over = c.over || c.invite.Header("Call-ID") == m.Header("Call-ID")
		}
		out = append(out, siptest.Answer(m, 200, ""))
	}
	s.mu.Unlock()
	for _, text := range out {
		s.say(text)
	}
}

// begin decides what becomes of the call. The caller holds the mutex.
func (c *callee) begin() {
	c.after(100*time.Millisecond, func() {
		c.last = siptest.Answer(c.invite, 180, "b", siptest.Contact("b"))
		c.repeat(0)
	})
	code := 200
	if c.s.rng.IntN(5) == 0 {
		code = 486
	}
	if c.s.rng.IntN(5) > 0 {
		c.after(time.Duration(c.s.rng.IntN(6000))*time.Millisecond, func() { c.finish(code) })
	}
}

func (c *callee) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if c.final == 0 {
			f()
		}
	})
}

// finish gives the final answer and repeats it until the ACK comes.
func (c *callee) finish(code int) {
	c.final = code
	extra := []string{siptest.Contact("b")}
	if code == 200 {
		extra = append(extra, siptest.SDP)
	}
	c.last = siptest.Answer(c.invite, code, "b", extra...)
	c.repeat(500 * time.Millisecond)
}

func (c *callee) repeat(next time.Duration) {
	text := c.last
	go c.s.say(text)
	if next == 0 || next > 16*time.Second {
		return
	}
	time.AfterFunc(next, func() {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if !c.acked {
			c.repeat(2 * next)
		}
	})
}

func TestNoLegIsLeftOnABadNetwork(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { weather(t, seed, 200) })
		})
	}
}

func weather(t *testing.T, seed uint64, n int) {
	w := newWorld(t, "udp")
	defer w.stop()
	s := &storm{rng: rand.New(rand.NewPCG(seed, 1)), calls: make(map[string]*callee)}
	s.deliver = func(text string) {
		msg, err := transport.Parse([]byte(text))
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			return
		}
		w.layer.Receive(transport.Incoming{Msg: msg, From: w.peer.Target})
	}
	w.peer.Lose(func(m siptest.Message) bool { s.send(m); return true })
	ends := make(map[string]int)
	var mu sync.Mutex
	for range n {
		ended := 0
		d := w.ua.Invite(Invitation{To: "+4930123", Offer: []byte(offer)}, func(e Event) {
			if ended > 0 {
				t.Errorf("%T after the end", e)
			}
			if e, ok := e.(Ended); ok {
				ended++
				mu.Lock()
				ends[e.Cause.Reason]++
				mu.Unlock()
			}
		})
		s.mu.Lock()
		wait := time.Duration(s.rng.IntN(8000)) * time.Millisecond
		s.mu.Unlock()
		time.AfterFunc(wait, func() { d.Hangup(hangupCause()) })
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Minute)
	if err := w.ua.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Minute)
	report(t, s, ends, n)
	left := make(chan int)
	w.layer.Do(func() { left <- len(w.ua.dialogs) })
	if got := <-left; got != 0 {
		t.Errorf("%d calls are remembered", got)
	}
}

// report checks both ends: each call ended once here, each answered leg there
// got its ACK and its BYE.
func report(t *testing.T, s *storm, ends map[string]int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, k := range ends {
		total += k
	}
	if total != n {
		t.Errorf("%d of %d calls ended", total, n)
	}
	answered := 0
	for _, c := range s.calls {
		if c.final == 0 || !c.acked {
			t.Errorf("call %s: final answer %d, acknowledged %t", c.invite.Header("Call-ID"), c.final, c.acked)
		}
		if c.final == 200 {
			answered++
			if !c.over {
				t.Errorf("call %s was answered and got no BYE", c.invite.Header("Call-ID"))
			}
		}
	}
	if answered == 0 || answered == n {
		t.Errorf("%d of %d answered: the test tests nothing", answered, n)
	}
	t.Logf("%d calls, %d answered, ends %v, 0 legs left", n, answered, ends)
}
