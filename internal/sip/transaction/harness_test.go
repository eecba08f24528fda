package transaction

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is one layer and one peer in a synctest bubble.
type world struct {
	*Layer
	t        *testing.T
	peer     *siptest.Peer
	requests chan *Server
	serve    func(*Server) // on the loop, before the request goes to requests
	stray    chan *sip.Response
}

func run(t *testing.T, network string, f func(*world), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t:        t,
			peer:     siptest.NewPeer(t, network),
			requests: make(chan *Server, 10000),
			stray:    make(chan *sip.Response, 10),
		}
		cfg := Config{
			Transport: w.peer,
			Requests: func(s *Server) {
				if w.serve != nil {
					w.serve(s)
				}
				w.requests <- s
			},
			Stray:  func(r *sip.Response, _ transport.Target) { w.stray <- r },
			Logger: slog.New(slog.DiscardHandler),
		}
		for _, c := range change {
			c(&cfg)
		}
		w.Layer = New(cfg)
		w.peer.Deliver = w.Receive
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		f(w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// loop runs f on the loop and waits for it.
func (w *world) loop(f func()) {
	done := make(chan struct{})
	w.Do(func() {
		defer close(done)
		f()
	})
	<-done
}

// sent is a request of ours with its results.
type sent struct {
	*Client
	w       *world
	results chan Result
	msg     siptest.Message
}

func newRequest(method sip.RequestMethod) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", User: "bob", Host: "example.org"})
	req.AppendHeader(&sip.FromHeader{
		Address: sip.Uri{Scheme: "sip", User: "alice", Host: "example.org"},
		Params:  sip.HeaderParams{{K: "tag", V: NewTag()}},
	})
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: "bob", Host: "example.org"}})
	id := sip.CallIDHeader(NewTag())
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	return req
}

// request sends a request and takes it at the peer.
func (w *world) request(method sip.RequestMethod) *sent {
	w.t.Helper()
	s := &sent{w: w, results: make(chan Result, 100)}
	w.loop(func() {
		s.Client = w.Request(newRequest(method), w.peer.Target, func(r Result) { s.results <- r })
	})
	s.msg = w.peer.Want(string(method))
	return s
}

// want waits for an answer with a code.
func (s *sent) want(code int) {
	s.w.t.Helper()
	select {
	case r := <-s.results:
		if r.Err != nil || r.Response.StatusCode != code {
			s.w.t.Fatalf("got %+v, want %d", r, code)
		}
	case <-time.After(time.Hour):
		s.w.t.Fatalf("no result, want %d", code)
	}
}

// wantErr waits for an error.
func (s *sent) wantErr() error {
	s.w.t.Helper()
	select {
	case r := <-s.results:
		if r.Err == nil {
			s.w.t.Fatalf("got %d, want an error", r.Response.StatusCode)
		}
		return r.Err
	case <-time.After(time.Hour):
		s.w.t.Fatal("no result, want an error")
		return nil
	}
}

// none checks that no result comes for a time.
func (s *sent) none(d time.Duration) {
	s.w.t.Helper()
	select {
	case r := <-s.results:
		s.w.t.Fatalf("got %+v, want nothing", r)
	case <-time.After(d):
	}
}

// wantRequest waits for a request of the peer.
func (w *world) wantRequest() *Server {
	w.t.Helper()
	select {
	case s := <-w.requests:
		return s
	case <-time.After(time.Hour):
		w.t.Fatal("no request")
		return nil
	}
}

// noRequest checks that none comes for a time.
func (w *world) noRequest(d time.Duration) {
	w.t.Helper()
	select {
	case s := <-w.requests:
		w.t.Fatalf("got a request %s, want none", s.Request().Method)
	case <-time.After(d):
	}
}

func (w *world) respond(s *Server, code int) {
	w.loop(func() { s.Respond(NewResponse(s.Request(), code, "")) })
}

// sizes returns how many transactions there are.
func (w *world) sizes() (clients, servers int) {
	w.loop(func() { clients, servers = len(w.clients), len(w.servers)+len(w.merged) })
	return clients, servers
}

// wantEmpty checks that no transaction is left after a time.
func (w *world) wantEmpty(d time.Duration) {
	w.t.Helper()
	time.Sleep(d)
	if c, s := w.sizes(); c != 0 || s != 0 {
		w.t.Errorf("%d client and %d server transactions are left", c, s)
	}
}
