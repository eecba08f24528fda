package dialog

import (
	"strings"
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

const allowAll = "Allow: INVITE, ACK, CANCEL, BYE, UPDATE"

func TestASessionIsAskedFor_RFC4028_7_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		wantSame(t, "Session-Expires", c.invite.Header("Session-Expires"), "1800")
	})
	run(t, func(w *world) {
		c := w.ring()
		wantSame(t, "Session-Expires", c.invite.Header("Session-Expires"), "")
	}, func(c *Config) { c.SessionExpires = -1 })
	run(t, func(w *world) {
		c := w.ring()
		wantSame(t, "Session-Expires", c.invite.Header("Session-Expires"), "90")
	}, func(c *Config) { c.SessionExpires = time.Second })
}

func TestASmallIntervalIsRaisedTo422s_RFC4028_7_3(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 422, "x", "Min-SE: 3600")
		w.peer.Want("ACK")
		second := w.peer.Want("INVITE")
		wantSame(t, "Session-Expires", second.Header("Session-Expires"), "3600")
		wantSame(t, "Min-SE", second.Header("Min-SE"), "3600")
		wantSame(t, "CSeq", second.Header("CSeq"), "2 INVITE")
		wantSame(t, "Call-ID", second.Header("Call-ID"), c.invite.Header("Call-ID"))
		w.peer.Reply(second, 200, "b", siptest.Contact("b"), siptest.SDP, "Session-Expires: 3600;refresher=uac")
		w.peer.Want("ACK")
		wantEvent[Answered](c)
	})
}

func TestA422WithoutALongerIntervalIsMetWithoutTimer_RFC4028_7_3(t *testing.T) {
	for name, header := range map[string]string{
		"our own interval, already given as Min-SE": "Min-SE: 1800",
		"less than our interval":                    "Min-SE: 90",
		"no Min-SE":                                 "Subject: x",
		"nonsense":                                  "Min-SE: many",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				c := w.ring()
				m := c.invite
				for m.Header("Session-Expires") != "" {
					wantSame(t, "Session-Expires", m.Header("Session-Expires"), "1800")
					w.peer.Reply(m, 422, "x", header)
					w.peer.Want("ACK")
					if m = w.peer.Want("INVITE"); m.CSeq() > 3 {
						t.Fatal("asked again and again")
					}
				}
				wantSame(t, "Min-SE", m.Header("Min-SE"), "")
				// Without a timer there is nothing left that it could mean.
				w.peer.Reply(m, 422, "x", header)
				w.peer.Want("ACK")
				c.wantEnd(ReasonProvider)
				w.peer.None(time.Minute)
			})
		})
	}
}

func TestARefreshThatMeets422WithoutMoreDoesNotEndTheCall(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 600;refresher=uac", allowAll)
		time.Sleep(5 * time.Minute)
		w.peer.Reply(w.peer.Want("UPDATE"), 422, "", "Min-SE: 600")
		w.peer.None(time.Hour)
		c.noEvent(time.Second)
		c.d.Hangup(hangupCause())
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonAPIHangup)
	})
}

func TestAsRefresherWeSendUpdateAtHalfTime_RFC4028_10(t *testing.T) {
	run(t, func(w *world) {
		start := time.Now()
		c := w.talk("Session-Expires: 1800;refresher=uac", "Require: timer", allowAll)
		for i := range 3 {
			w.peer.None(15*time.Minute - time.Second)
			update := w.peer.Want("UPDATE")
			if d := update.At.Sub(start); d != time.Duration(i+1)*15*time.Minute {
				t.Errorf("refreshed after %s", d)
			}
			wantSame(t, "Session-Expires", update.Header("Session-Expires"), "1800;refresher=uac")
			wantSame(t, "body", update.Body(), "")
			w.peer.Reply(update, 200, "", "Session-Expires: 1800;refresher=uac")
		}
		c.noEvent(time.Minute)
	})
}

func TestAsRefresherWeReinviteWherePeersDoNotKnowUpdate_RFC4028_7_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 1800;refresher=uac", "Allow: INVITE, ACK, CANCEL, BYE")
		time.Sleep(15 * time.Minute)
		again := w.peer.Want("INVITE")
		wantSame(t, "body", again.Body(), offer)
		wantSame(t, "CSeq", again.Header("CSeq"), "2 INVITE")
		wantSame(t, "tag", again.Param("To", "tag"), "b")
		w.peer.Reply(again, 100, "")
		w.peer.Reply(again, 200, "", "Contact: <sip:moved@192.0.2.1:5060>", "Session-Expires: 1800;refresher=uac", siptest.SDP)
		ack := w.peer.Want("ACK")
		wantSame(t, "CSeq", ack.Header("CSeq"), "2 ACK")
		wantSame(t, "remote target", ack.RequestURI(), "sip:moved@192.0.2.1:5060")
		w.peer.Reply(again, 200, "", "Contact: <sip:moved@192.0.2.1:5060>", siptest.SDP)
		wantSame(t, "ack of the repeated 200", w.peer.Want("ACK").Text, ack.Text)
		c.noEvent(time.Minute)
		time.Sleep(14 * time.Minute)
		w.peer.Want("INVITE")
	})
}

func TestAnAnswerThatDiffersInARefreshIsTold(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 1800;refresher=uac")
		time.Sleep(15 * time.Minute)
		again := w.peer.Want("INVITE")
		moved := strings.Replace(siptest.SDP, "27000", "27002", 1)
		w.peer.Reply(again, 200, "", siptest.Contact("b"), "Session-Expires: 1800;refresher=uac", moved)
		w.peer.Want("ACK")
		wantSame(t, "sdp", string(wantEvent[Renegotiated](c).SDP), moved)
	})
}

func TestARefreshIsChallengedLikeAnyRequest_RFC3261_22_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 1800;refresher=uac", allowAll)
		time.Sleep(15 * time.Minute)
		w.peer.Reply(w.peer.Want("UPDATE"), 407, "", "Proxy-Authenticate: Digest nonce3")
		second := w.peer.Want("UPDATE")
		wantSame(t, "credentials", second.Header("Proxy-Authorization"), "Answer to Digest nonce3")
		w.peer.Reply(second, 200, "", "Session-Expires: 1800;refresher=uac")
		c.noEvent(time.Minute)
	})
}

func TestARefreshThatMeets422IsRepeatedWithMore_RFC4028_7_3(t *testing.T) {
	run(t, func(w *world) {
		w.talk("Session-Expires: 600;refresher=uac", allowAll)
		time.Sleep(5 * time.Minute)
		w.peer.Reply(w.peer.Want("UPDATE"), 422, "", "Min-SE: 1200")
		second := w.peer.Want("UPDATE")
		wantSame(t, "Session-Expires", second.Header("Session-Expires"), "1200;refresher=uac")
		wantSame(t, "Min-SE", second.Header("Min-SE"), "1200")
	})
}

func TestUpdateThatIsRefusedBecomesReinvite(t *testing.T) {
	run(t, func(w *world) {
		w.talk("Session-Expires: 600;refresher=uac", allowAll)
		time.Sleep(5 * time.Minute)
		w.peer.Reply(w.peer.Want("UPDATE"), 405, "", "Allow: INVITE")
		w.peer.Want("INVITE")
	})
}

func TestGlareWaitsAsTheOwnerOfTheCallID_RFC3261_14_1(t *testing.T) {
	run(t, func(w *world) {
		w.talk("Session-Expires: 600;refresher=uac")
		time.Sleep(5 * time.Minute)
		for range 5 {
			again := w.peer.Want("INVITE")
			w.peer.Reply(again, 491, "")
			w.peer.Want("ACK")
			next := w.peer.Want("INVITE")
			if d := next.At.Sub(again.At); d < 2100*time.Millisecond || d > 4*time.Second || d%(10*time.Millisecond) != 0 {
				t.Errorf("repeated after %s, want 2.1 s to 4 s in steps of 10 ms", d)
			}
			w.peer.Reply(next, 491, "")
			w.peer.Want("ACK")
		}
	})
}

func TestBothBackoffsOfGlareStayInTheirRanges_RFC3261_14_1(t *testing.T) {
	low, high := func(int) int { return 0 }, func(n int) int { return n - 1 }
	got := []time.Duration{glareWait(true, low), glareWait(true, high), glareWait(false, low), glareWait(false, high)}
	want := []time.Duration{2100 * time.Millisecond, 4 * time.Second, 0, 2 * time.Second}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("case %d: got %s, want %s", i, got[i], want[i])
		}
	}
}

func TestTheirReinviteMeetsOursWith491_RFC3261_14_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 600;refresher=uac")
		time.Sleep(5 * time.Minute)
		ours := w.peer.Want("INVITE")
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 4, siptest.SDP+"a=sendonly\r\n")) // RFC 3311 5.2
		w.peer.Want("491")
		w.peer.Say(siptest.Within(c.invite, "b", "INVITE", 5, siptest.SDP+"a=sendonly\r\n"))
		w.peer.Want("491")
		w.peer.Reply(ours, 200, "", siptest.Contact("b"), siptest.SDP)
		// The 491 is repeated until its ACK, ours goes on meanwhile.
		for range 2 {
			if m := w.peer.Next(); !m.Is("ACK") && !m.Is("491") {
				t.Errorf("got %q", m.Start())
			}
		}
		c.noEvent(time.Second)
	})
}

func TestARefreshWithoutEffectEndsTheCall_RFC4028_10(t *testing.T) {
	for answer, reason := range map[int]string{481: ReasonSessionExpired, 408: ReasonSessionExpired} {
		run(t, func(w *world) {
			c := w.talk("Session-Expires: 1800;refresher=uac", allowAll)
			time.Sleep(15 * time.Minute)
			w.peer.Reply(w.peer.Want("UPDATE"), answer, "")
			w.peer.Reply(w.peer.Want("BYE"), 481, "")
			if cause := c.wantEnd(reason); cause.Code != answer {
				t.Errorf("got %+v", cause)
			}
		})
	}
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 1800;refresher=uac", allowAll)
		time.Sleep(14 * time.Minute)
		w.peer.Lose(func(m siptest.Message) bool { return m.Is("UPDATE") })
		time.Sleep(time.Minute)
		bye := w.peer.Want("BYE") // after timer F
		w.peer.Reply(bye, 200, "")
		c.wantEnd(ReasonSessionExpired)
	})
	run(t, func(w *world) {
		start := time.Now()
		c := w.talk("Session-Expires: 1800;refresher=uac", allowAll)
		time.Sleep(15 * time.Minute)
		for {
			m := w.peer.Next()
			for !m.Is("UPDATE") && !m.Is("BYE") {
				t.Fatalf("got %q", m.Start())
			}
			if m.Is("BYE") {
				if d := m.At.Sub(start); d != 1800*time.Second-32*time.Second {
					t.Errorf("bye after %s", d)
				}
				w.peer.Reply(m, 200, "")
				break
			}
			w.peer.Reply(m, 500, "", "Retry-After: 30")
		}
		c.wantEnd(ReasonSessionExpired)
	})
}

func TestAPeerThatDoesNotRefreshGetsABye_RFC4028_10(t *testing.T) {
	for interval, want := range map[string]time.Duration{
		"90":   60 * time.Second,
		"300":  300*time.Second - 32*time.Second,
		"1800": 1800*time.Second - 32*time.Second,
	} {
		run(t, func(w *world) {
			start := time.Now()
			c := w.talk("Session-Expires: " + interval + ";refresher=uas")
			time.Sleep(want - time.Second)
			bye := w.peer.Want("BYE")
			if d := bye.At.Sub(start); d != want {
				t.Errorf("interval %s: bye after %s, want %s", interval, d, want)
			}
			w.peer.Reply(bye, 200, "")
			c.wantEnd(ReasonSessionExpired)
		})
	}
}

func TestAPeerThatRefreshesKeepsTheCall_RFC4028_9(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 300;refresher=uas")
		for i := range 5 {
			time.Sleep(150 * time.Second)
			method := []string{"UPDATE", "INVITE"}[i%2]
			w.peer.Say(siptest.Within(c.invite, "b", method, 10+i, "Supported: timer", "Session-Expires: 300;refresher=uac"))
			ok := w.peer.Want("200")
			wantSame(t, "Session-Expires", ok.Header("Session-Expires"), "300;refresher=uac")
			wantSame(t, "Require", ok.Header("Require"), "timer")
			if method == "INVITE" {
				w.peer.Say(siptest.Within(c.invite, "b", "ACK", 10+i, siptest.SDP))
			}
		}
		c.noEvent(time.Minute)
	})
}

func TestTheRefresherCanChange_RFC4028_9(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk("Session-Expires: 300;refresher=uas", allowAll)
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 10, "Supported: timer", "Session-Expires: 600;refresher=uas"))
		ok := w.peer.Want("200")
		wantSame(t, "Session-Expires", ok.Header("Session-Expires"), "600;refresher=uas")
		time.Sleep(299 * time.Second)
		w.peer.Want("UPDATE")
		c.noEvent(time.Second)
	})
}

func TestATooSmallIntervalOfThePeerGets422_RFC4028_9(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 10, "Supported: timer", "Session-Expires: 30"))
		wantSame(t, "Min-SE", w.peer.Want("422").Header("Min-SE"), "90")
		c.noEvent(time.Hour)
	})
}

func TestWithoutSessionExpiresThereIsNoTimer_RFC4028_7_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk(allowAll)
		w.peer.None(5 * time.Hour)
		c.noEvent(time.Second)
	})
}
