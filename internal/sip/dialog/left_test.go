package dialog

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transaction"
)

// life is what one run of the program left behind.
type life struct {
	invite siptest.Message
	record string
}

// crash places a call, lets before happen, and ends the run without a word.
func crash(t *testing.T, network string, before func(*world, *outgoing), options ...option) life {
	t.Helper()
	s := newShelf()
	w := newWorld(t, network, append(options, recording(s))...)
	c := w.ring()
	before(w, c)
	l := life{invite: c.invite, record: s.only(t)}
	if l.record == "" {
		t.Fatal("nothing is recorded")
	}
	w.stop()
	return l
}

// after runs a test in the life after the crash.
func after(t *testing.T, network string, l life, f func(w *world, s *shelf, done chan struct{}), options ...option) {
	t.Helper()
	s := newShelf()
	w := newWorld(t, network, append(options, recording(s))...)
	defer w.stop()
	left, err := w.ua.Left([]byte(l.record))
	if err != nil {
		t.Fatal(err)
	}
	s.records[left.ID()] = l.record
	if peers := left.Peers(); len(peers) != 1 || peers[0] != w.peer.Target.Addr.Addr() {
		t.Errorf("peers = %v, want that of the call", peers)
	}
	done := make(chan struct{}, 10)
	left.End(func() { done <- struct{}{} })
	f(w, s, done)
}

// wantDone waits for the end, which has to come once, and that all is forgotten.
func wantDone(t *testing.T, w *world, s *shelf, done chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("done was not called")
	}
	if got := s.only(t); got != "" {
		t.Errorf("the record is left:\n%s", got)
	}
	w.peer.None(2 * time.Minute)
	if len(done) > 0 {
		t.Error("done was called twice")
	}
}

func ringing(w *world, c *outgoing) {
	w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"), "Record-Route: <sip:192.0.2.1;lr;x=1>")
	wantEvent[Ringing](c)
}

func pickedUp(w *world, c *outgoing) {
	w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), "Record-Route: <sip:192.0.2.1;lr;x=1>, <sip:192.0.2.1;lr;x=2>", siptest.SDP)
	w.peer.Want("ACK")
	wantEvent[Answered](c)
}

func TestACallThatACrashLeftRingingGetsItsCancel_RFC3261_9_1(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		for name, before := range map[string]func(*world, *outgoing){
			"before any answer": func(*world, *outgoing) {},
			"after 180":         ringing,
		} {
			t.Run(name+" over "+network, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := crash(t, network, before, viaProxy)
					after(t, network, l, func(w *world, s *shelf, done chan struct{}) {
						cancel := w.peer.Want("CANCEL")
						for _, h := range []string{"Via", "Route", "From", "To", "Call-ID"} {
							wantSame(t, h, cancel.Header(h), l.invite.Header(h))
						}
						wantSame(t, "request-uri", cancel.RequestURI(), l.invite.RequestURI())
						wantSame(t, "CSeq", cancel.Header("CSeq"), "1 CANCEL")
						w.peer.Reply(cancel, 200, "b")
						w.peer.Reply(l.invite, 487, "b")
						wantSame(t, "CSeq of ack", w.peer.Want("ACK").Header("CSeq"), "1 ACK")
						wantDone(t, w, s, done)
					})
				})
			})
		}
	}
}

func TestACallThatWasAnsweredAfterTheCrashGetsAckAndBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := crash(t, "udp", ringing)
		after(t, "udp", l, func(w *world, s *shelf, done chan struct{}) {
			w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
			ok := siptest.Answer(l.invite, 200, "b", siptest.Contact("other"), siptest.SDP)
			w.peer.Say(ok)
			ack := w.peer.Want("ACK")
			wantSame(t, "request-uri", ack.RequestURI(), "sip:other@192.0.2.1:5060")
			bye := w.peer.Want("BYE")
			w.peer.Say(ok)
			wantSame(t, "repeated ack", w.peer.Want("ACK").Text, ack.Text)
			w.peer.Reply(bye, 200, "b")
			wantDone(t, w, s, done)
		})
	})
}

func TestACallWhoseAnswerIsNotRepeatedGetsByeAllTheSame_RFC3261_15(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := crash(t, network, ringing)
				start := time.Now()
				after(t, network, l, func(w *world, s *shelf, done chan struct{}) {
					w.peer.Reply(w.peer.Want("CANCEL"), 481, "x") // the transaction is over
					ack := w.peer.Want("ACK")
					wantSame(t, "CSeq", ack.Header("CSeq"), "1 ACK")
					bye := w.peer.Want("BYE")
					wantSame(t, "route", bye.Header("Route"), "<sip:192.0.2.1;lr;x=1>")
					wantSame(t, "tag", bye.Param("To", "tag"), "b")
					if late := bye.At.Sub(start); late > time.Second {
						t.Errorf("bye after %v, want within a second", late)
					}
					w.peer.Reply(bye, 200, "b")
					wantDone(t, w, s, done)
				})
			})
		})
	}
}

func TestACallThatACrashLeftUpGetsItsBye_RFC3261_15_1(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := crash(t, network, pickedUp, viaProxy)
				after(t, network, l, func(w *world, s *shelf, done chan struct{}) {
					wantSame(t, "CSeq of ack", w.peer.Want("ACK").Header("CSeq"), "1 ACK")
					bye := w.peer.Want("BYE")
					wantSame(t, "request-uri", bye.RequestURI(), "sip:b@192.0.2.1:5060")
					wantSame(t, "routes", strings.Join(bye.Headers("Route"), ", "), "<sip:192.0.2.1;lr;x=2>, <sip:192.0.2.1;lr;x=1>")
					wantSame(t, "from", bye.Header("From"), l.invite.Header("From"))
					wantSame(t, "to", bye.Header("To"), l.invite.Header("To")+";tag=b")
					wantSame(t, "Call-ID", bye.Header("Call-ID"), l.invite.Header("Call-ID"))
					if bye.CSeq() <= cseqGap {
						t.Errorf("CSeq %d may have been used before the crash", bye.CSeq())
					}
					w.peer.Reply(bye, 200, "b")
					wantDone(t, w, s, done)
				})
			})
		})
	}
}

func TestAChallengedByeAfterACrashIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := crash(t, "udp", pickedUp)
		after(t, "udp", l, func(w *world, s *shelf, done chan struct{}) {
			w.peer.Want("ACK")
			bye := w.peer.Want("BYE")
			w.peer.Reply(bye, 407, "b", `Proxy-Authenticate: Digest realm="r", nonce="1"`)
			again := w.peer.Want("BYE")
			if again.Header("Proxy-Authorization") == "" || again.CSeq() != bye.CSeq()+1 {
				t.Errorf("second bye without credentials or with CSeq %d:\n%s", again.CSeq(), again.Text)
			}
			w.peer.Reply(again, 200, "b")
			wantDone(t, w, s, done)
		})
	})
}

func TestAForeignRealmIsNotAnsweredBeforeTheProviderHasShownItsOwn(t *testing.T) {
	for name, own := range map[string]bool{"the realm of the call": true, "another realm": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := crash(t, "udp", pickedUp)
				if own {
					l.record = strings.Replace(l.record, `Contact: `, `Proxy-Authorization: Digest username=\"u\", realm=\"r\", nonce=\"0\"\r\nContact: `, 1)
				}
				registered := false
				path := registration.Path{}
				late := func(c *Config) {
					path, _ = c.Path()
					c.Path = func() (registration.Path, error) {
						if registered {
							return path, nil
						}
						return path, errors.New("not yet")
					}
				}
				realm := `Digest realm="r", nonce="1"`
				if !own {
					realm = strings.Replace(realm, `"r"`, `"callee"`, 1)
				}
				after(t, "udp", l, func(w *world, s *shelf, done chan struct{}) {
					w.peer.Want("ACK")
					w.peer.Reply(w.peer.Want("BYE"), 407, "b", "Proxy-Authenticate: "+realm)
					again := w.peer.Want("BYE")
					if got := again.Header("Proxy-Authorization") != ""; got != own {
						t.Errorf("credentials given: %v, want %v", got, own)
					}
					if !own { // as soon as we are registered, the digest client decides
						synctest.Wait()
						registered = true
						w.peer.Reply(again, 407, "b", "Proxy-Authenticate: "+realm)
						again = w.peer.Want("BYE")
						if again.Header("Proxy-Authorization") == "" {
							t.Error("no credentials after the registration")
						}
					}
					w.peer.Reply(again, 200, "b")
					wantDone(t, w, s, done)
				}, late)
			})
		})
	}
}

func TestAPeerThatSaysNothingIsGivenUpInTime(t *testing.T) {
	for name, before := range map[string]func(*world, *outgoing){"ringing": ringing, "up": pickedUp} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := crash(t, "udp", before)
				start := time.Now()
				after(t, "udp", l, func(w *world, s *shelf, done chan struct{}) {
					<-done
					if took := time.Since(start); took > time.Minute {
						t.Errorf("given up after %v, want within a minute", took)
					}
					if got := s.only(t); got != "" {
						t.Errorf("the record is left:\n%s", got)
					}
					w.peer.Drain(time.Minute)
				})
			})
		})
	}
}

func TestAWayThatIsNotThereYetIsTriedAgain(t *testing.T) {
	for name, before := range map[string]func(*world, *outgoing){"ringing": func(*world, *outgoing) {}, "up": pickedUp} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := crash(t, "tcp", before)
				after(t, "tcp", l, func(w *world, s *shelf, done chan struct{}) {
					w.peer.Drain(time.Millisecond)
					w.layer.Broken(w.peer.Target, errors.New("network is unreachable"))
					again := w.peer.Drain(2 * time.Second)
					if len(again) != 1 || !again[0].Is("CANCEL") && !again[0].Is("BYE") {
						t.Fatalf("got %v, want another try", again)
					}
					m := again[0]
					w.peer.Reply(m, 200, "b")
					if m.Is("CANCEL") {
						w.peer.Reply(l.invite, 487, "b")
						w.peer.Want("ACK")
					}
					wantDone(t, w, s, done)
				})
			})
		})
	}
}

func TestAllPhonesThatACrashLeftAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := crash(t, "udp", func(w *world, c *outgoing) {
			ringing(w, c)
			w.peer.Reply(c.invite, 200, "first", siptest.Contact("first"), siptest.SDP)
			w.peer.Want("ACK")
			wantEvent[Answered](c)
			w.peer.Reply(c.invite, 200, "second", siptest.Contact("second"), siptest.SDP)
			w.peer.Want("ACK")
			w.peer.Want("BYE") // its answer got lost with us
		})
		after(t, "udp", l, func(w *world, s *shelf, done chan struct{}) {
			ended := ""
			for range 2 {
				w.peer.Want("ACK")
				bye := w.peer.Want("BYE")
				ended += bye.Param("To", "tag") + " "
				w.peer.Reply(bye, 200, "")
			}
			wantSame(t, "ended", ended, "first second ")
			wantDone(t, w, s, done)
		})
	})
}

func TestRecordsThatAreNoneAreRefused(t *testing.T) {
	var good life
	synctest.Test(t, func(t *testing.T) { good = crash(t, "udp", pickedUp) })
	u := New(Config{Layer: transaction.New(transaction.Config{Logger: slog.New(slog.DiscardHandler)}), Logger: slog.New(slog.DiscardHandler)})
	if _, err := u.Left([]byte(good.record)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another version":      {`"v":1`, `"v":2`},
		"no target":            {`"addr":"192.0.2.1:5060"`, `"addr":"somewhere"`},
		"no network":           {`"network":"udp"`, `"network":"pigeon"`},
		"another request":      {`"INVITE sip`, `"OPTIONS sip`},
		"another method":       {`1 INVITE`, `1 BYE`},
		"no message":           {`\r\nVia`, `\nVia`},
		"an answer that is no": {`SIP/2.0 200 OK`, `SIP/2.0 486 OK`},
		"not JSON":             {`{`, `[`},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(good.record, change[0], change[1], 1)
			if broken == good.record {
				t.Fatalf("the record has no %s:\n%s", change[0], good.record)
			}
			if _, err := u.Left([]byte(broken)); !errors.Is(err, ErrRecord) {
				t.Errorf("Left = %v, want %v", err, ErrRecord)
			}
		})
	}
}

func FuzzAnyRecordCanBeRead(f *testing.F) {
	f.Add([]byte(`{"v":1,"network":"udp","addr":"192.0.2.1:5060","invite":"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKq\r\nMax-Forwards: 70\r\nFrom: <sip:a@x>;tag=TAG\r\nTo: <sip:b@x>\r\nCall-ID: CALL\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",` +
		`"legs":["SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKq\r\nFrom: <sip:a@x>;tag=TAG\r\nTo: <sip:b@x>;tag=b\r\nCall-ID: CALL\r\nCSeq: 1 INVITE\r\nContact: <sip:b@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"]}`))
	f.Add([]byte(`{"v":1}`))
	u := New(Config{
		Layer: transaction.New(transaction.Config{Transport: &sink{}, Logger: slog.New(slog.DiscardHandler)}), Logger: slog.New(slog.DiscardHandler),
		Path: func() (registration.Path, error) { return registration.Path{}, errors.New("none") },
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		left, err := u.Left(data)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Errorf("Left = %v, want %v", err, ErrRecord)
			}
			return
		}
		left.Peers()
		again := left.d.record()
		if _, err := u.Left(again); err != nil {
			t.Errorf("its own record is not read: %v\n%s\n%s", err, data, again)
		}
	})
}

func TestAConnectionThatDiesWhileCallsAreEndedSavesNobodyFromTheBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := crash(t, "tcp", ringing)
		after(t, "tcp", l, func(w *world, s *shelf, done chan struct{}) {
			w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
			w.layer.Broken(w.peer.Target, errors.New("connection reset"))
			said := ""
			for _, m := range w.peer.Drain(time.Minute) {
				said += m.Start()[:3] + " "
				if m.Is("CANCEL") {
					w.peer.Reply(m, 481, "b")
				}
				if m.Is("BYE") {
					w.peer.Reply(m, 200, "b")
				}
			}
			if !strings.Contains(said, "ACK BYE") {
				t.Errorf("after the connection died it said %q, want ACK and BYE to the phone that may have answered", said)
			}
			wantDone(t, w, s, done)
		})
	})
}
