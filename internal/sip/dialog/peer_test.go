package dialog

import (
	"strings"
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

const hold = siptest.SDP + "a=sendonly\r\n"

func TestAReinviteIsOfferedToTheOwner_RFC3261_14_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, "Contact: <sip:moved@192.0.2.1:5060>", hold))
		e := wantEvent[Reoffer](c)
		wantSame(t, "offer", string(e.SDP), hold)
		w.peer.Want("100")
		e.Accept([]byte(offer + "a=recvonly\r\n"))
		e.Reject(488) // too late, ignored
		ok := w.peer.Want("200")
		wantSame(t, "body", ok.Body(), offer+"a=recvonly\r\n")
		wantSame(t, "Contact", ok.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
		wantSame(t, "To", ok.Header("To"), c.invite.Header("From"))
		w.peer.Say(siptest.Within(c.invite, "b", "ACK", 10))
		w.peer.None(time.Minute)
		c.d.Hangup(hangupCause())
		wantSame(t, "remote target", w.peer.Want("BYE").RequestURI(), "sip:moved@192.0.2.1:5060")
	})
}

func TestThe200OfAReinviteIsRepeatedUntilItsAck_RFC3261_13_3_1_4(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		runOn(t, network, func(w *world) {
			c := w.talk()
			w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
			wantEvent[Reoffer](c).Accept([]byte(offer))
			first := w.peer.Want("200")
			for _, d := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
				next := w.peer.Want("200")
				if got := next.At.Sub(first.At); got != d {
					t.Errorf("repeated after %s, want %s", got, d)
				}
				wantSame(t, "200", next.Text, first.Text)
				first = next
			}
			w.peer.Say(siptest.Within(c.invite, "b", "ACK", 10))
			w.peer.None(time.Minute)
			c.noEvent(time.Second)
		})
	}
}

func TestA200WithoutAckBecomesABye_RFC3261_13_3_1_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
		wantEvent[Reoffer](c).Accept([]byte(offer))
		start := time.Now()
		m := w.peer.Next()
		for m.Is("200") {
			m = w.peer.Next()
		}
		if !m.Is("BYE") || m.At.Sub(start) != 32*time.Second {
			t.Errorf("got %q after %s, want BYE after 64*T1", m.Start(), m.At.Sub(start))
		}
		w.peer.Reply(m, 200, "")
		c.wantEnd(ReasonNoAck)
	})
}

func TestABadOfferGets488AndTheCallGoesOn_RFC3261_14_2(t *testing.T) {
	for code, want := range map[int]string{488: "488", 415: "415", 0: "488", 200: "488"} {
		run(t, func(w *world) {
			c := w.talk()
			w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
			wantEvent[Reoffer](c).Reject(code)
			w.peer.Want(want)
			w.peer.Say(ackOf(siptest.Within(c.invite, "b", "INVITE", 10)))
			w.peer.None(time.Minute)
			w.peer.Say(siptest.Within(c.invite, "b", "OPTIONS", 11))
			w.peer.Want("200")
			c.noEvent(time.Minute)
		})
	}
}

// ackOf turns an INVITE of the peer into the ACK of its failure.
func ackOf(invite string) string {
	return strings.Replace(strings.Replace(invite, "INVITE sip", "ACK sip", 1), "10 INVITE", "10 ACK", 1)
}

func TestAnOfferThatNobodyDecidesAboutGets488(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
		wantEvent[Reoffer](c)
		w.peer.Want("100")
		start := time.Now()
		if d := w.peer.Want("488").At.Sub(start); d > answerTime {
			t.Errorf("refused after %s", d)
		}
		w.peer.Say(ackOf(siptest.Within(c.invite, "b", "INVITE", 10)))
		c.noEvent(time.Minute)
	})
}

func TestAReinviteWithoutAnOfferGetsOurs_RFC3261_14_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10))
		wantSame(t, "offer", w.peer.Want("200").Body(), offer)
		w.peer.Say(siptest.Within(c.invite, "b", "ACK", 10, hold))
		wantSame(t, "answer", string(wantEvent[Renegotiated](c).SDP), hold)
		w.peer.None(time.Minute)
	})
}

func TestAReinviteThatChangesNothingIsAnsweredAtOnce(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, siptest.SDP))
		wantSame(t, "answer", w.peer.Want("200").Body(), offer)
		w.peer.Say(siptest.Within(c.invite, "b", "ACK", 10))
		w.peer.None(time.Minute)
		c.noEvent(time.Second)
	})
}

func TestASecondReinviteWaitsForTheFirst_RFC3261_14_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
		e := wantEvent[Reoffer](c)
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 11, hold))
		if got := w.peer.Want("500").Header("Retry-After"); got == "" || len(got) > 2 {
			t.Errorf("got Retry-After %q, want 0 to 10", got)
		}
		w.peer.Say(strings.Replace(ackOf(siptest.Within(c.invite, "b", "INVITE", 11)), "11 INVITE", "11 ACK", 1))
		e.Accept([]byte(offer))
		w.peer.Want("200")
	})
}

func TestAReinviteCanBeCancelled_RFC3261_9_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		invite := siptest.Within(c.invite, "b", "INVITE", 10, hold)
		w.peer.Say(invite)
		e := wantEvent[Reoffer](c)
		w.peer.Say(strings.Replace(strings.Replace(siptest.Within(c.invite, "b", "INVITE", 10), "INVITE sip", "CANCEL sip", 1), "10 INVITE", "10 CANCEL", 1))
		w.peer.Want("200")
		w.peer.Want("487")
		w.peer.Say(ackOf(siptest.Within(c.invite, "b", "INVITE", 10)))
		e.Accept([]byte(offer))
		w.peer.None(time.Minute)
		c.noEvent(time.Second)
	})
}

func TestABodyThatIsNoSessionDescriptionGets415_RFC3261_8_2_3(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(strings.Replace(siptest.Within(c.invite, "b", "INVITE", 10, hold), "application/sdp", "text/plain", 1))
		wantSame(t, "Accept", w.peer.Want("415").Header("Accept"), "application/sdp")
		c.noEvent(time.Second)
	})
}

func TestUpdateWithAnOfferIsOfferedToTheOwner_RFC3311_5_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 10, hold))
		wantEvent[Reoffer](c).Accept([]byte(offer + "a=recvonly\r\n"))
		wantSame(t, "answer", w.peer.Want("200").Body(), offer+"a=recvonly\r\n")
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 11, siptest.SDP))
		wantEvent[Reoffer](c).Reject(488)
		w.peer.Want("488")
		w.peer.None(time.Minute)
	})
}

func TestARequestWithALowerCSeqGets500_RFC3261_12_2_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "OPTIONS", 10))
		w.peer.Want("200")
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 9))
		w.peer.Want("500")
		w.peer.Say(siptest.Within(c.invite, "b", "OPTIONS", 12)) // a gap is fine
		w.peer.Want("200")
		c.noEvent(time.Minute)
	})
}

func TestRequestsWithinACallAreAnswered(t *testing.T) {
	cases := []struct {
		name, method string
		extra        []string
		body         string // with another type than SDP
		want         string
		header       string
		value        string
	}{
		{"OPTIONS (RFC 3261 11)", "OPTIONS", nil, "", "200", "Allow", allow},
		{"INFO without a body", "INFO", nil, "", "200", "", ""},
		{"INFO with a digit", "INFO", []string{siptest.SDP}, "application/dtmf-relay", "200", "", ""},
		{"INFO with something else (RFC 3261 8.2.3)", "INFO", []string{siptest.SDP}, "text/plain", "415", "Accept", "application/sdp"},
		{"INFO with a package (RFC 6086 4.2.2)", "INFO", []string{"Info-Package: foo"}, "", "469", "", ""},
		{"REFER is not followed (RFC 3515)", "REFER", []string{"Refer-To: <sip:+900123@192.0.2.9>"}, "", "603", "", ""},
		{"MESSAGE", "MESSAGE", nil, "", "405", "Allow", allow},
		{"an unknown method (RFC 3261 8.2.1)", "DANCE", nil, "", "405", "Allow", allow},
		{"NOTIFY without a subscription (RFC 6665)", "NOTIFY", nil, "", "481", "", ""},
		{"SUBSCRIBE", "SUBSCRIBE", nil, "", "489", "", ""},
		{"PRACK without a reason (RFC 3262 3)", "PRACK", nil, "", "481", "", ""},
		{"an unknown Require (RFC 3261 8.2.2.3)", "OPTIONS", []string{"Require: timer, foo,bar"}, "", "420", "Unsupported", "foo, bar"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(w *world) {
				c := w.talk()
				text := siptest.Within(c.invite, "b", tt.method, 10, tt.extra...)
				if tt.body != "" {
					text = strings.Replace(text, "application/sdp", tt.body, 1)
				}
				w.peer.Say(text)
				res := w.peer.Want(tt.want)
				if tt.header != "" {
					wantSame(t, tt.header, res.Header(tt.header), tt.value)
				}
				// Repeated, it gets the same from the transaction.
				w.peer.Say(text)
				wantSame(t, "repeated", w.peer.Want(tt.want).Text, res.Text)
				w.peer.None(time.Minute)
				c.noEvent(time.Second)
			})
		})
	}
}

func TestRequestsOutsideOfACallAreAnswered(t *testing.T) {
	cases := []struct {
		name, method string
		extra        []string
		want         string
		header       string
		value        string
	}{
		{"OPTIONS (RFC 3261 11.2)", "OPTIONS", nil, "200", "Accept", "application/sdp"},
		{"INVITE, for now", "INVITE", []string{siptest.SDP}, "480", "", ""},
		{"BYE (RFC 3261 15.1.2)", "BYE", nil, "481", "", ""},
		{"UPDATE", "UPDATE", nil, "481", "", ""},
		{"INFO", "INFO", nil, "481", "", ""},
		{"NOTIFY", "NOTIFY", nil, "481", "", ""},
		{"SUBSCRIBE (RFC 6665)", "SUBSCRIBE", nil, "489", "", ""},
		{"REFER is not followed", "REFER", []string{"Refer-To: <sip:+900123@192.0.2.9>"}, "603", "", ""},
		{"MESSAGE", "MESSAGE", nil, "405", "Allow", allow},
		{"REGISTER", "REGISTER", nil, "405", "Allow", allow},
		{"an unknown method (RFC 3261 8.2.1)", "DANCE", nil, "405", "Allow", allow},
		{"an unknown Require (RFC 3261 8.2.2.3)", "INVITE", []string{"Require: foo"}, "420", "Unsupported", "foo"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(w *world) {
				w.peer.Say(siptest.Outside(tt.method, "x1", tt.extra...))
				res := w.peer.Want(tt.want)
				if tt.header != "" {
					wantSame(t, tt.header, res.Header(tt.header), tt.value)
				}
				if res.Param("To", "tag") == "" {
					t.Error("no tag in To (RFC 3261 8.2.6.2)")
				}
				w.peer.Say(siptest.Outside(tt.method, "x1", tt.extra...))
				wantSame(t, "repeated", w.peer.Want(tt.want).Text, res.Text)
				w.peer.None(time.Minute)
			})
		})
	}
}

func TestNoHopsLeftGets483OutsideOfCallsOnly_RFC3261_16_3(t *testing.T) {
	none := func(text string) string { return strings.Replace(text, "Max-Forwards: 70", "Max-Forwards: 0", 1) }
	run(t, func(w *world) {
		w.peer.Say(none(siptest.Outside("INVITE", "x1")))
		w.peer.Want("483")
		w.peer.Say(none(siptest.Outside("OPTIONS", "x2")))
		w.peer.Want("200")
		c := w.talk()
		w.peer.Say(none(siptest.Within(c.invite, "b", "BYE", 9)))
		w.peer.Want("200")
		c.wantEnd(ReasonRemoteBye)
	})
}

func TestUnknownDialogsGet481_RFC3261_12_2_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		for name, text := range map[string]string{
			"another tag of the peer": siptest.Within(c.invite, "other", "BYE", 9),
			"another tag of ours":     strings.Replace(siptest.Within(c.invite, "b", "BYE", 10), ";tag="+c.invite.Param("From", "tag"), ";tag=foo", 1),
			"another Call-ID":         strings.Replace(siptest.Within(c.invite, "b", "BYE", 11), c.d.ID(), "foo", 1),
		} {
			t.Log(name)
			w.peer.Say(text)
			w.peer.Want("481")
		}
		// An ACK is never answered.
		w.peer.Say(siptest.Within(c.invite, "other", "ACK", 9))
		w.peer.None(time.Minute)
		c.noEvent(time.Second)
	})
}

func TestAnUnknownRequireDoesNotKeepACallAlive(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 9, "Require: foo"))
		w.peer.Want("200")
		c.wantEnd(ReasonRemoteBye)
	})
}

func TestAByeEndsAnOpenReinvite_RFC3261_15_1_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 10, hold))
		e := wantEvent[Reoffer](c)
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 11))
		w.peer.Want("200")
		w.peer.Want("487")
		w.peer.Say(ackOf(siptest.Within(c.invite, "b", "INVITE", 10)))
		e.Accept([]byte(offer))
		c.wantEnd(ReasonRemoteBye)
		w.peer.None(time.Minute)
	})
}

func TestAChallengeInAnIncomingRequestIsIgnored(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		for i, text := range []string{
			siptest.Within(c.invite, "b", "INVITE", 10, "WWW-Authenticate: Digest theirs", hold),
			siptest.Outside("INVITE", "x9", "Proxy-Authenticate: Digest theirs"),
			siptest.Within(c.invite, "b", "INFO", 11, "WWW-Authenticate: Digest theirs"),
		} {
			w.peer.Say(text)
			if i == 0 {
				wantEvent[Reoffer](c).Reject(488)
			}
		}
		for _, m := range w.peer.Drain(time.Minute) {
			if strings.Contains(m.Text, "Authorization") {
				t.Errorf("leaked credentials:\n%s", m.Text)
			}
		}
	})
}
