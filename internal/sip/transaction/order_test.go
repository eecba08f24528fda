package transaction

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

const bursts = 500

// ordered is a layer on real sockets that notes what it hears of each call.
type ordered struct {
	got  map[string][]uint32 // CSeq numbers by Call-ID
	done chan string         // calls whose burst is complete
}

func (o *ordered) serve(s *Server) {
	id := s.Request().CallID().Value()
	o.got[id] = append(o.got[id], s.Request().CSeq().SeqNo)
	s.RespondStateless(NewResponse(s.Request(), sip.StatusOK, ""))
	if len(o.got[id]) == 5 {
		o.done <- id
	}
}

// burst is five messages of one call.
func burst(n int, network string) []string {
	out := make([]string, 5)
	for i := range out {
		out[i] = fmt.Sprintf("INFO sip:gw@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%s 127.0.0.1:1;branch=z9hG4bK%d-%d;rport\r\n"+
			"From: <sip:a@x>;tag=1\r\nTo: <sip:gw@x>;tag=2\r\nCall-ID: c%d\r\nCSeq: %d INFO\r\nContent-Length: 0\r\n\r\n",
			strings.ToUpper(network), n, i, n, i+1)
	}
	return out
}

// "The requests MUST be processed in the order in which they were received" is
// what a dialog needs (RFC 3261 section 12.2.2 rejects the ones that overtake).
func TestBurstsOfOneCallArriveInOrder(t *testing.T) {
	for _, procs := range []int{1, 2} {
		for _, network := range []string{transport.UDP, transport.TCP} {
			t.Run(fmt.Sprintf("%s with GOMAXPROCS=%d", network, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				testOrder(t, network)
			})
		}
	}
}

func testOrder(t *testing.T, network string) {
	o := &ordered{got: make(map[string][]uint32), done: make(chan string, bursts)}
	log := slog.New(slog.DiscardHandler)
	var layer *Layer
	tr, err := transport.New(transport.Config{
		Bind:    netip.MustParseAddrPort("127.0.0.1:0"),
		Receive: func(in transport.Incoming) { layer.Receive(in) },
		Logger:  log,
		Rate:    1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	layer = New(Config{Transport: tr, Requests: o.serve, Logger: log})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- tr.Run(ctx) }()
	go func() { ended <- layer.Run(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		check(t, o)
	}()
	conn := connect(t, tr, network)
	defer conn.Close()
	for n := range bursts {
		msgs := burst(n, network)
		if network == transport.TCP {
			msgs = []string{strings.Join(msgs, "")}
		}
		for _, m := range msgs {
			if _, err := conn.Write([]byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-o.done:
		case <-time.After(10 * time.Second):
			t.Fatalf("burst %d did not arrive", n)
		}
	}
}

// connect returns the peer's end of a way to the transport.
func connect(t *testing.T, tr *transport.Transport, network string) net.Conn {
	t.Helper()
	if network == transport.UDP {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(tr.Bound()))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tr.Send(transport.Target{Network: network, Addr: l.Addr().(*net.TCPAddr).AddrPort()}, []byte("\r\n\r\n"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func check(t *testing.T, o *ordered) {
	t.Helper()
	good := 0
	for id, got := range o.got {
		if slices.Equal(got, []uint32{1, 2, 3, 4, 5}) {
			good++
		} else {
			t.Errorf("call %s: got %v", id, got)
		}
	}
	if good != bursts {
		t.Errorf("%d of %d bursts in order", good, bursts)
	}
}
