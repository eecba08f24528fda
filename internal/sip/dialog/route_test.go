package dialog

import (
	"net/netip"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

func TestRecordRouteIsFollowedInReverse_RFC3261_12_1_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 200, "b", "Contact: <sip:b@10.1.1.1:5099>", siptest.SDP,
			"Record-Route: <sip:192.0.2.8;lr;a=1>, <sip:192.0.2.7:5080;lr>", "Record-Route: <sip:192.0.2.1;lr=on>")
		want := []string{"<sip:192.0.2.1;lr=on>", "<sip:192.0.2.7:5080;lr>", "<sip:192.0.2.8;lr;a=1>"}
		ack := w.peer.Want("ACK")
		wantSame(t, "request-uri", ack.RequestURI(), "sip:b@10.1.1.1:5099")
		if d := cmp.Diff(want, ack.Headers("Route")); d != "" {
			t.Errorf("route of ack (-want +got):\n%s", d)
		}
		c.d.Hangup(hangupCause())
		bye := w.peer.Want("BYE")
		wantSame(t, "request-uri", bye.RequestURI(), "sip:b@10.1.1.1:5099")
		if d := cmp.Diff(want, bye.Headers("Route")); d != "" {
			t.Errorf("route of bye (-want +got):\n%s", d)
		}
		if bye.To != w.peer.Target {
			t.Errorf("sent to %s, want the first route", bye.To)
		}
	})
}

func TestAStrictRouterTakesThePlaceOfTheRequestURI_RFC3261_12_2_1_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 200, "b", "Contact: <sip:b@10.1.1.1:5099>", siptest.SDP,
			"Record-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.1>")
		ack := w.peer.Want("ACK")
		wantSame(t, "request-uri", ack.RequestURI(), "sip:192.0.2.1")
		if d := cmp.Diff([]string{"<sip:192.0.2.8;lr>", "<sip:b@10.1.1.1:5099>"}, ack.Headers("Route")); d != "" {
			t.Errorf("route (-want +got):\n%s", d)
		}
	})
}

func TestTheOutboundProxyIsAPreloadedRoute_RFC3261_8_1_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		if d := cmp.Diff([]string{"<sip:192.0.2.1;lr>"}, c.invite.Headers("Route")); d != "" {
			t.Errorf("route (-want +got):\n%s", d)
		}
		w.peer.Reply(c.invite, 401, "x", "WWW-Authenticate: Digest nonce1")
		wantSame(t, "route of ack", w.peer.Want("ACK").Header("Route"), "<sip:192.0.2.1;lr>")
		second := w.peer.Want("INVITE")
		if d := cmp.Diff([]string{"<sip:192.0.2.1;lr>"}, second.Headers("Route")); d != "" {
			t.Errorf("route of the second invite (-want +got):\n%s", d)
		}
		// The proxy did not ask to stay: the route of the dialog is empty.
		w.peer.Reply(second, 200, "b", siptest.Contact("b"), siptest.SDP)
		if got := w.peer.Want("ACK").Headers("Route"); len(got) != 0 {
			t.Errorf("got route %q in the dialog, want none", got)
		}
	}, viaProxy)
}

func TestRequestsOfADialogGoToItsNextHop(t *testing.T) {
	pinned := transport.Target{Network: "udp", Addr: netip.MustParseAddrPort("192.0.2.1:5060"), ServerName: "example.org"}
	at := func(network, addr string) transport.Target {
		return transport.Target{Network: network, Addr: netip.MustParseAddrPort(addr), ServerName: "example.org"}
	}
	tcp, tls := at("tcp", "192.0.2.1:5060"), at("tls", "192.0.2.1:5061")
	home := at("udp", "192.168.1.1:5060")
	cases := []struct {
		name   string
		path   transport.Target
		target string
		route  string
		want   transport.Target
	}{
		{"the address of the Contact", pinned, "sip:b@198.51.100.9:5099", "", at("udp", "198.51.100.9:5099")},
		{"the port 5060 when there is none", pinned, "sip:b@198.51.100.9", "", at("udp", "198.51.100.9:5060")},
		{"the first route before the Contact", pinned, "sip:b@198.51.100.9", "sip:198.51.100.8:5070;lr", at("udp", "198.51.100.8:5070")},
		{"the pinned address for a name", pinned, "sip:b@pbx.example.org", "", pinned},
		{"the pinned address when the peer is behind NAT", pinned, "sip:b@10.0.0.5:5060", "", pinned},
		{"the pinned address for shared address space", pinned, "sip:b@100.64.3.5:5060", "", pinned},
		{"the pinned address for loopback", pinned, "sip:b@127.0.0.1", "", pinned},
		{"the pinned address for 0.0.0.0", home, "sip:b@0.0.0.0", "", home},
		{"the pinned address for multicast", home, "sip:b@224.0.1.75", "", home},
		{"the pinned address for the other family", pinned, "sip:b@[2001:db8::1]", "", pinned},
		{"a neighbour in the same private network", home, "sip:b@192.168.1.9", "", at("udp", "192.168.1.9:5060")},
		{"the transport of the URI", pinned, "sip:b@198.51.100.9;transport=TCP", "", at("tcp", "198.51.100.9:5060")},
		{"the open flow of the same host", tcp, "sip:b@192.0.2.1:5099", "", tcp},
		{"never from TLS to plain text", tls, "sip:b@198.51.100.9;transport=tcp", "", at("tls", "198.51.100.9:5061")},
		{"TLS for sips", pinned, "sips:b@198.51.100.9", "", at("tls", "198.51.100.9:5061")},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			l := &leg{d: &Dialog{path: registration.Path{Target: tt.path}}}
			if err := sip.ParseUri(tt.target, &l.target); err != nil {
				t.Fatal(err)
			}
			if tt.route != "" {
				l.routes = make([]sip.Uri, 1)
				if err := sip.ParseUri(tt.route, &l.routes[0]); err != nil {
					t.Fatal(err)
				}
			}
			if got := l.hop(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAChallengeOfAStrangerWithinACallIsNotAnswered(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 200, "b", "Contact: <sip:b@192.0.2.66>", siptest.SDP)
		if ack := w.peer.Want("ACK"); ack.To.Addr != someone {
			t.Fatalf("sent to %s, want %s", ack.To, someone)
		}
		wantEvent[Answered](c)
		c.d.Hangup(hangupCause())
		bye := w.peer.Want("BYE")
		w.peer.SayFrom(transport.Target{Network: "udp", Addr: someone}, siptest.Answer(bye, 401, "", "WWW-Authenticate: Digest theirs"))
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestTheContactFollowsTheViewOfTheOutside(t *testing.T) {
	port := 1024
	run(t, func(w *world) {
		c := w.talk()
		wantSame(t, "Contact of invite", c.invite.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
		w.layer.Do(func() { port = 2048 })
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 5))
		wantSame(t, "Contact of the 200", w.peer.Want("200").Header("Contact"), "<sip:alice@203.0.113.9:2048>")
	}, func(c *Config) {
		c.Path = func() (registration.Path, error) {
			return registration.Path{
				Target:  transport.Target{Network: "udp", Addr: netip.MustParseAddrPort("192.0.2.1:5060")},
				Contact: sip.Uri{Scheme: "sip", User: "alice", Host: "203.0.113.9", Port: port},
			}, nil
		}
	})
}

// TestPeersLearnANewContactAtOnce: their BYE would go to where nobody is.
func TestPeersLearnANewContactAtOnce_RFC3261_12_2_1_1(t *testing.T) {
	for name, extra := range map[string][]string{"UPDATE": {allowAll}, "INVITE": nil} {
		t.Run(name, func(t *testing.T) {
			port := 1024
			run(t, func(w *world) {
				c := w.talk(extra...)
				w.ua.PathChanged() // nothing has changed
				w.peer.None(time.Minute)
				w.layer.Do(func() { port = 2048 })
				w.ua.PathChanged()
				m := w.peer.Want(name)
				wantSame(t, "Contact", m.Header("Contact"), "<sip:alice@203.0.113.9:2048>")
				if name == "INVITE" {
					wantSame(t, "the offer of before", m.Body(), offer)
					w.peer.Reply(m, 200, "", siptest.Contact("b"), siptest.SDP)
					w.peer.Want("ACK")
				} else {
					w.peer.Reply(m, 200, "")
				}
				w.ua.PathChanged()
				w.peer.None(time.Minute)
				c.noEvent(time.Second)
			}, func(c *Config) {
				c.Path = func() (registration.Path, error) {
					return registration.Path{
						Target:  transport.Target{Network: "udp", Addr: netip.MustParseAddrPort("192.0.2.1:5060")},
						Contact: sip.Uri{Scheme: "sip", User: "alice", Host: "203.0.113.9", Port: port},
					}, nil
				}
			})
		})
	}
}

func TestWithoutAPathNothingIsSent(t *testing.T) {
	run(t, func(w *world) {
		c := w.dial()
		if cause := c.wantEnd(ReasonUnregistered); cause.Text != "no path to the provider" {
			t.Errorf("got %+v", cause)
		}
		w.peer.None(time.Minute)
	}, func(c *Config) {
		c.Path = func() (registration.Path, error) { return registration.Path{}, registration.ErrNoPath }
	})
}

func TestANumberThatCannotBeDialledEndsAtOnce(t *testing.T) {
	run(t, func(w *world) {
		c := w.dial(func(i *Invitation) { i.To = "1 2" })
		c.wantEnd(ReasonInvalidNumber)
		w.peer.None(time.Minute)
	})
}

func TestTheCallerIsShown(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring(func(i *Invitation) { i.CallerID = "+4930777" })
		wantSame(t, "PAI", c.invite.Header("P-Asserted-Identity"), "<sip:+4930777@example.org>")
	})
}

func TestABrokenFlowEndsTheCallAsUnreachable_RFC3261_8_1_3_1(t *testing.T) {
	runOn(t, "tcp", func(w *world) {
		c := w.ring()
		w.layer.Broken(w.peer.Target, transport.ErrDead)
		if cause := c.wantEnd(ReasonUnreachable); cause.Code != 503 {
			t.Errorf("got %+v", cause)
		}
	})
}

func TestAnInviteOver1300BytesGoesOutOverUDP(t *testing.T) {
	run(t, func(w *world) {
		long := offer
		for len(long) < 4000 {
			long += "a=candidate:1 1 UDP 2130706431 198.51.100.7 30000 typ host\r\n"
		}
		c := w.ring(func(i *Invitation) { i.Offer = []byte(long) })
		if c.invite.To.Network != "udp" || c.invite.Body() != long {
			t.Errorf("got %d bytes over %s", len(c.invite.Text), c.invite.To.Network)
		}
	})
}
