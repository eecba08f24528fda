package phonenet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ErrClosed is returned by a wait when the network has been closed.
var ErrClosed = errors.New("the phone network is closed")

// Net is a running telephone network.
type Net struct {
	cfg     Config
	log     *slog.Logger
	addr    netip.AddrPort
	sockets *sockets
	inbox   chan func()
	quit    chan struct{} // closed by Close
	done    chan struct{} // closed when the loop has ended
	once    sync.Once
	readers sync.WaitGroup // goroutines of the sockets
	medias  sync.WaitGroup // goroutines of the calls
	after   sync.Mutex     // guards the loop's state once the loop has ended

	// Owned by the loop.
	behaviour Behaviour
	guard     *challenger
	bindings  map[string][]*binding // by user
	servers   map[string]*serverTx
	clients   map[string]*clientTx
	legs      map[string]*Leg // running calls, by dialogKey
	calls     []*Leg          // running and ended calls, oldest first
	waiters   []*waiter
	counters  Counters
	closing   bool
}

// Start binds the sockets and serves until ctx ends or Close is called.
func Start(ctx context.Context, cfg Config) (*Net, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("phone network: %w", err)
	}
	n := &Net{
		cfg:       cfg,
		log:       cfg.Logger,
		inbox:     make(chan func(), 1024),
		quit:      make(chan struct{}),
		done:      make(chan struct{}),
		behaviour: cfg.Behaviour,
		guard:     newChallenger(cfg),
		bindings:  map[string][]*binding{},
		servers:   map[string]*serverTx{},
		clients:   map[string]*clientTx{},
		legs:      map[string]*Leg{},
		counters:  Counters{Requests: map[string]int{}},
	}
	n.sockets, err = listen(ctx, cfg, n)
	if err != nil {
		return nil, fmt.Errorf("phone network: %w", err)
	}
	n.addr = n.sockets.addr
	n.sockets.serve()
	stop := context.AfterFunc(ctx, n.shut)
	go func() {
		defer stop()
		n.loop()
	}()
	n.log.Info("phone network started", "address", n.addr.String(), "network", cfg.Network)
	return n, nil
}

// Addr is where the registrar listens.
func (n *Net) Addr() netip.AddrPort { return n.addr }

// Close goes off the air at once, without a word to running calls, and returns
// when all goroutines have ended. What was seen can still be read afterwards.
func (n *Net) Close() {
	n.shut()
	<-n.done
}

func (n *Net) shut() { n.once.Do(func() { close(n.quit) }) }

// loop owns all state of the network that is marked so in Net, and everything
// in Leg, serverTx, clientTx and binding. Others post functions to it.
func (n *Net) loop() {
	defer close(n.done)
	quit, ended := n.quit, make(chan struct{})
	for {
		select {
		case f := <-n.inbox:
			f()
		case <-quit:
			quit = nil
			n.closeAll(ended)
		case <-ended:
			n.drain()
			return
		}
		n.notify()
	}
}

// drain runs what was still posted when the last goroutine ended.
func (n *Net) drain() {
	for {
		select {
		case f := <-n.inbox:
			f()
		default:
			n.notify()
			return
		}
	}
}

// closeAll closes every socket; ended is closed when their goroutines are gone.
// The loop goes on meanwhile, because they post their last words to it.
func (n *Net) closeAll(ended chan<- struct{}) {
	n.closing = true
	for _, leg := range n.legs {
		leg.finish(EndClosed, 0)
	}
	for _, tx := range n.servers {
		tx.stop()
	}
	for _, tx := range n.clients {
		tx.end(nil, ErrClosed)
	}
	for _, list := range n.bindings {
		for _, b := range list {
			b.stop()
		}
	}
	go func() {
		n.sockets.close()
		n.readers.Wait()
		n.medias.Wait()
		close(ended)
	}()
}

// post hands f to the loop. It reports false when the loop has ended.
func (n *Net) post(f func()) bool {
	select {
	case n.inbox <- f:
		return true
	case <-n.done:
		return false
	}
}

// ask runs f on the loop, or instead of it once it has ended, and waits for it.
func (n *Net) ask(f func()) {
	ran := make(chan struct{})
	if n.post(func() { f(); close(ran) }) {
		select {
		case <-ran:
			return
		case <-n.done:
		}
	}
	n.after.Lock()
	defer n.after.Unlock()
	select {
	case <-ran: // the loop's last act
	default:
		f()
	}
}

// timer runs f on the loop after d, unless stop was called on the loop before.
func (n *Net) timer(d time.Duration, f func()) (stop func()) {
	if n.closing {
		return func() {}
	}
	stopped := false
	t := time.AfterFunc(d, func() {
		n.post(func() {
			if !stopped && !n.closing {
				f()
			}
		})
	})
	return func() {
		stopped = true
		t.Stop()
	}
}

// receive is called on the loop for every message that passed the parser.
func (n *Net) receive(msg sip.Message, from flow) {
	if n.closing || n.behaviour.Deaf || n.cfg.Lose != nil && n.cfg.Lose(false, msg.String()) {
		return
	}
	if !complete(msg) {
		n.counters.Malformed++
		return
	}
	switch msg := msg.(type) {
	case *sip.Request:
		n.counters.Requests[method(msg)]++
		n.request(msg, from)
	case *sip.Response:
		n.response(msg)
	}
}

// transmit sends a message, unless the network misbehaves.
func (n *Net) transmit(to flow, data []byte) error {
	if n.behaviour.Deaf || n.cfg.Lose != nil && n.cfg.Lose(true, string(data)) {
		return nil
	}
	return n.sockets.send(to, data)
}

// method names a request for the counters, which strangers must not fill with inventions.
func method(req *sip.Request) string {
	switch req.Method {
	case sip.REGISTER, sip.INVITE, sip.ACK, sip.BYE, sip.CANCEL, sip.OPTIONS, sip.UPDATE, sip.INFO, sip.PRACK:
		return string(req.Method)
	default:
		return "other"
	}
}

// complete reports whether a message has all that RFC 3261 8.1.1 demands and
// the code behind it relies on.
func complete(msg sip.Message) bool {
	cseq := msg.CSeq()
	if msg.Via() == nil || msg.From() == nil || msg.To() == nil || msg.CallID() == nil || cseq == nil {
		return false
	}
	req, ok := msg.(*sip.Request)
	return !ok || req.Method == cseq.MethodName
}
