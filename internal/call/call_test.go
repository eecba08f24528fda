package call

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/sip/dialog"
)

// brief is what the stories below look at.
type brief struct {
	Status   Status
	Reason   string
	By       string
	Code     int
	Codec    string
	Duration time.Duration
}

func briefOf(c Call) brief {
	return brief{c.Status, c.Reason, c.HangupBy, c.SIP.Code, c.Codec, time.Duration(c.DurationMS) * time.Millisecond}
}

func wantCall(t *testing.T, got Call, want brief) {
	t.Helper()
	if diff := cmp.Diff(want, briefOf(got)); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func wantLog(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestACallRingsIsAnsweredAndHungUpByTheOtherSide(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{Metadata: map[string]string{"order": "7"}})
		wantCall(t, placed, brief{Status: StatusQueued})
		if placed.SIP.CallID != "call-id@example.test" || placed.From != "+4930999" || placed.To != "+4930123456" || placed.Metadata["order"] != "7" {
			t.Errorf("placed = %+v", placed)
		}
		if got := leg.invitation; got.To != "+4930123456" || got.RingTimeout != DefaultRing || len(got.Offer) == 0 {
			t.Errorf("invitation = %+v", got)
		}
		time.Sleep(time.Second)
		b.say(leg, dialog.Ringing{Code: 180})
		b.say(leg, dialog.Ringing{Code: 183})
		wantCall(t, b.see(placed.ID), brief{Status: StatusRinging, Code: 180})
		time.Sleep(time.Second)
		b.say(leg, dialog.Answered{SDP: good})
		time.Sleep(3 * time.Second)
		running := b.see(placed.ID)
		wantCall(t, running, brief{Status: StatusInProgress, Code: 200, Codec: "PCMA", Duration: 3 * time.Second})
		if running.Audio == nil || running.Audio.RTPPacketsSent != 42 {
			t.Errorf("audio = %+v, want the counters of now", running.Audio)
		}
		time.Sleep(2 * time.Second)
		b.say(leg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteBye, By: dialog.ByRemote, Q850: 16}})
		ended := b.see(placed.ID)
		wantCall(t, ended, brief{Status: StatusCompleted, Reason: "remote_bye", By: "remote", Code: 200, Codec: "PCMA", Duration: 5 * time.Second})
		if ended.SIP.Q850 != 16 || ended.Audio == nil {
			t.Errorf("ended = %+v, want the cause and the last counters", ended)
		}
		for what, got := range map[string]time.Duration{
			"ringing":  ended.RingingAt.Sub(ended.CreatedAt),
			"answered": ended.AnsweredAt.Sub(ended.CreatedAt) - time.Second,
			"ended":    (ended.EndedAt.Sub(ended.CreatedAt) - 5*time.Second) / 2,
		} {
			if got != time.Second {
				t.Errorf("%s: %v, want 1s", what, got)
			}
		}
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "answered", "end completed remote_bye", "close")
		wantLog(t, b.hooks, "started "+placed.ID, "invited", "ended "+placed.ID)
		if got := b.Running(); got != 0 {
			t.Errorf("running = %d, want 0", got)
		}
	})
}

func TestACallThatIsNotAnsweredSaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		cause dialog.Cause
		want  brief
	}{
		"busy":                  {dialog.Cause{Reason: dialog.ReasonBusy, Code: 486, By: "remote"}, brief{Status: StatusBusy, Reason: "busy", By: "remote", Code: 486}},
		"nobody there":          {dialog.Cause{Reason: dialog.ReasonNoAnswer, Code: 480, By: "remote"}, brief{Status: StatusNoAnswer, Reason: "no_answer", By: "remote", Code: 480}},
		"proxy gave up":         {dialog.Cause{Reason: dialog.ReasonTimeout, Code: 408, By: "remote"}, brief{Status: StatusNoAnswer, Reason: "timeout", By: "remote", Code: 408}},
		"no answer to INVITE":   {dialog.Cause{Reason: dialog.ReasonTimeout, By: "system"}, brief{Status: StatusFailed, Reason: "timeout", By: "system"}},
		"rejected":              {dialog.Cause{Reason: dialog.ReasonRejected, Code: 603, By: "remote"}, brief{Status: StatusFailed, Reason: "rejected", By: "remote", Code: 603}},
		"number does not exist": {dialog.Cause{Reason: dialog.ReasonNotFound, Code: 404, By: "remote"}, brief{Status: StatusFailed, Reason: "not_found", By: "remote", Code: 404}},
		"provider unreachable":  {dialog.Cause{Reason: dialog.ReasonUnreachable, By: "system"}, brief{Status: StatusFailed, Reason: "unreachable", By: "system"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				placed, leg, sound := b.place(Request{})
				b.say(leg, dialog.Ended{Cause: tt.cause})
				got := b.see(placed.ID)
				wantCall(t, got, tt.want)
				if got.AnsweredAt != nil || got.EndedAt == nil {
					t.Errorf("answered at %v, ended at %v", got.AnsweredAt, got.EndedAt)
				}
				wantLog(t, sound.log(), "end "+string(tt.want.Status)+" "+tt.want.Reason, "close")
			})
		})
	}
}

func TestEarlyMediaIsHeardAndTheSameAnswerDoesNotStartItAgain(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Early{SDP: good})
		wantCall(t, b.see(placed.ID), brief{Status: StatusRinging, Code: 183, Codec: "PCMA"})
		b.say(leg, dialog.Answered{SDP: good})
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "answered")
	})
}

func TestTheAnswerReplacesEarlyMediaFromElsewhere(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, leg, sound := b.place(Request{})
		b.say(leg, dialog.Early{SDP: good})
		b.say(leg, dialog.Answered{SDP: answer("203.0.113.9", 5000, "0", "")})
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "start PCMU 203.0.113.9:5000", "answered")
	})
}

func TestAnAnswerWithoutSDPAfterEarlyMediaConfirmsIt(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Early{SDP: good})
		b.say(leg, dialog.Answered{})
		if got := b.see(placed.ID).Status; got != StatusInProgress {
			t.Errorf("status = %s, want in-progress", got)
		}
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "answered")
	})
}

func TestUnusableEarlyMediaDoesNotEndTheCall(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Early{SDP: answer("127.0.0.1", 40000, "8", "")})
		b.say(leg, dialog.Answered{SDP: good})
		if got := b.see(placed.ID).Status; got != StatusInProgress {
			t.Errorf("status = %s, want in-progress", got)
		}
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "answered")
	})
}

func TestABadAnswerIsHungUpWithItsReason(t *testing.T) {
	for name, tt := range map[string]struct {
		sdp    []byte
		reason string
	}{
		"without SDP":                     {nil, ReasonNoSDP},
		"port 0":                          {answer("203.0.113.5", 0, "8", ""), ReasonMediaRejected},
		"no common codec":                 {answer("203.0.113.5", 40000, "18", ""), ReasonNoCodec},
		"multicast":                       {answer("224.0.0.1", 40000, "8", ""), ReasonMediaAddress},
		"loopback from a public provider": {answer("127.0.0.1", 40000, "8", ""), ReasonMediaAddress},
		"our own RTP port":                {answer("198.51.100.7", 30000, "8", ""), ReasonMediaAddress},
		"our SIP port":                    {answer("198.51.100.7", 5060, "8", ""), ReasonMediaAddress},
		"garbage":                         {[]byte("hello"), ReasonBadSDP},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				placed, leg, sound := b.place(Request{})
				b.say(leg, dialog.Answered{SDP: tt.sdp})
				got := b.see(placed.ID)
				if got.Status != StatusFailed || got.Reason != tt.reason || got.HangupBy != "system" || got.AnsweredAt != nil {
					t.Errorf("call = %+v, want failed because of %s", got, tt.reason)
				}
				wantLog(t, leg.hangupReasons(), tt.reason)
				wantLog(t, sound.log(), "end failed "+tt.reason, "close")
			})
		})
	}
}

func TestALoopbackAnswerFromALoopbackProviderIsFine(t *testing.T) {
	run(t, func(c *Config) { c.Peer = nil }, func(b *bench) {
		placed, leg, _ := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: answer("127.0.0.1", 40000, "8", "")})
		if got := b.see(placed.ID).Status; got != StatusInProgress {
			t.Errorf("status = %s, want in-progress", got)
		}
	})
}

func TestTheRTPPortOfAnotherCallIsNotAnAddressToSendTo(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, first, _ := b.place(Request{})
		second, leg, _ := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: answer("198.51.100.7", 30000, "8", "")})
		if got := b.see(second.ID); got.Reason != ReasonMediaAddress {
			t.Errorf("reason = %q, want %q", got.Reason, ReasonMediaAddress)
		}
		third, leg, _ := b.place(Request{})
		b.say(first, dialog.Ended{})
		b.say(leg, dialog.Answered{SDP: answer("198.51.100.7", 30000, "8", "")})
		if got := b.see(third.ID); got.Status != StatusInProgress {
			t.Errorf("status = %s, want in-progress: the port is not ours any more", got.Status)
		}
	})
}

func TestALaterOfferChangesTheSoundAndIsAnswered(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: good})
		var accepted []byte
		b.say(leg, dialog.Reoffer{
			SDP:    answer("203.0.113.9", 41000, "0", "a=sendonly\r\n"),
			Accept: func(body []byte) { accepted = body },
			Reject: func(int) { t.Error("rejected") },
		})
		d, err := sdp.ReadAnswer(sdp.Local{}, accepted)
		if err != nil || d.Direction != sdp.RecvOnly || d.Codec.Name != "PCMU" {
			t.Errorf("answer = %+v, %v; want recvonly PCMU:\n%s", d, err, accepted)
		}
		if got := b.see(placed.ID); !got.Held || got.Codec != "PCMU" {
			t.Errorf("held = %v, codec = %s; want held, PCMU", got.Held, got.Codec)
		}
		b.say(leg, dialog.Reoffer{SDP: good, Accept: func([]byte) {}, Reject: func(int) { t.Error("rejected") }})
		if got := b.see(placed.ID); got.Held || got.Codec != "PCMA" {
			t.Errorf("held = %v, codec = %s; want resumed, PCMA", got.Held, got.Codec)
		}
		wantLog(t, sound.log(), "start PCMA 203.0.113.5:40000", "answered", "start PCMU 203.0.113.9:41000", "start PCMA 203.0.113.5:40000")
	})
}

func TestABadOfferIsRefusedAndTheCallGoesOn(t *testing.T) {
	for name, body := range map[string][]byte{
		"no common codec": answer("203.0.113.5", 40000, "18", ""),
		"loopback":        answer("127.0.0.1", 40000, "8", ""),
		"empty":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				placed, leg, sound := b.place(Request{})
				b.say(leg, dialog.Answered{SDP: good})
				code := 0
				b.say(leg, dialog.Reoffer{SDP: body, Accept: func([]byte) { t.Error("accepted") }, Reject: func(c int) { code = c }})
				if code != 488 {
					t.Errorf("rejected with %d, want 488", code)
				}
				if got := b.see(placed.ID).Status; got != StatusInProgress {
					t.Errorf("status = %s, want in-progress", got)
				}
				wantLog(t, sound.log(), "start PCMA 203.0.113.5:40000", "answered")
			})
		})
	}
}

func TestANewAnswerToTheSameOfferMovesTheSound(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, leg, sound := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: good})
		b.say(leg, dialog.Renegotiated{SDP: answer("203.0.113.9", 41000, "8", "")})
		b.say(leg, dialog.Renegotiated{SDP: []byte("garbage")})
		wantLog(t, sound.log(), "start PCMA 203.0.113.5:40000", "answered", "start PCMA 203.0.113.9:41000")
	})
}

func TestTimersEndACallWithTheirReason(t *testing.T) {
	answered := func(b *bench, leg *fakeLeg, _ *fakeSound) { b.say(leg, dialog.Answered{SDP: good}) }
	for name, tt := range map[string]struct {
		change  func(*Config)
		request Request
		before  func(*bench, *fakeLeg, *fakeSound)
		after   time.Duration
		want    brief
	}{
		"nobody answers for a minute": {
			after: time.Minute,
			want:  brief{Status: StatusNoAnswer, Reason: "ring_timeout", By: "system", Code: 487},
		},
		"nobody answers for as long as the request says": {
			request: Request{RingTimeout: 5 * time.Second},
			before:  func(b *bench, l *fakeLeg, _ *fakeSound) { b.say(l, dialog.Ringing{Code: 180}) },
			after:   5 * time.Second,
			want:    brief{Status: StatusNoAnswer, Reason: "ring_timeout", By: "system", Code: 487},
		},
		"the longest call is over": {
			change: func(c *Config) { c.Unattended = 2 * time.Hour },
			before: answered, after: time.Hour,
			want: brief{Status: StatusCompleted, Reason: "max_duration", By: "system", Code: 487, Codec: "PCMA", Duration: time.Hour},
		},
		"the longest call that the request allows is over": {
			request: Request{MaxDuration: time.Second},
			before:  answered, after: time.Second,
			want: brief{Status: StatusCompleted, Reason: "max_duration", By: "system", Code: 487, Codec: "PCMA", Duration: time.Second},
		},
		"no socket ever came": {
			before: answered, after: 10 * time.Minute,
			want: brief{Status: StatusCompleted, Reason: "unattended", By: "system", Code: 487, Codec: "PCMA", Duration: 10 * time.Minute},
		},
		"the sockets left and the call is kept for a while": {
			change: func(c *Config) { c.Unattended = time.Minute },
			before: func(b *bench, l *fakeLeg, s *fakeSound) {
				b.fact(s, engine.SocketsPresent)
				answered(b, l, s)
				time.Sleep(30 * time.Minute)
				b.fact(s, engine.SocketsGone)
			},
			after: time.Minute,
			want:  brief{Status: StatusCompleted, Reason: "unattended", By: "system", Code: 487, Codec: "PCMA", Duration: 31 * time.Minute},
		},
		"the sockets left and the call goes with them": {
			change: func(c *Config) { c.HangupWithSockets = true },
			before: func(b *bench, l *fakeLeg, s *fakeSound) {
				b.fact(s, engine.SocketsPresent)
				answered(b, l, s)
				b.fact(s, engine.SocketsGone)
			},
			after: DefaultGrace,
			want:  brief{Status: StatusCompleted, Reason: "sockets_gone", By: "system", Code: 487, Codec: "PCMA", Duration: DefaultGrace},
		},
		"the sockets left while it rang and the call goes with them": {
			change: func(c *Config) { c.HangupWithSockets = true },
			before: func(b *bench, _ *fakeLeg, s *fakeSound) {
				b.fact(s, engine.SocketsPresent)
				b.fact(s, engine.SocketsGone)
			},
			after: DefaultGrace,
			want:  brief{Status: StatusCanceled, Reason: "sockets_gone", By: "system", Code: 487},
		},
		"nothing was heard for too long": {
			before: func(b *bench, l *fakeLeg, s *fakeSound) {
				answered(b, l, s)
				b.fact(s, engine.RTPTimeout)
			},
			want: brief{Status: StatusCompleted, Reason: "rtp_timeout", By: "system", Code: 487, Codec: "PCMA"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, tt.change, func(b *bench) {
				placed, leg, sound := b.place(tt.request)
				if tt.before != nil {
					tt.before(b, leg, sound)
				}
				if tt.after > 0 {
					time.Sleep(tt.after - time.Millisecond)
					if got := b.see(placed.ID); got.Status.Final() {
						t.Fatalf("ended too early: %+v", briefOf(got))
					}
					time.Sleep(time.Millisecond)
				}
				wantCall(t, b.see(placed.ID), tt.want)
				wantLog(t, leg.hangupReasons(), tt.want.Reason)
			})
		})
	}
}

func TestSocketsThatComeBackInTimeKeepTheCall(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"hang up with them": func(c *Config) { c.HangupWithSockets = true },
		"keep":              func(c *Config) { c.Unattended = DefaultGrace },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, change, func(b *bench) {
				placed, leg, sound := b.place(Request{})
				b.fact(sound, engine.SocketsPresent)
				b.say(leg, dialog.Answered{SDP: good})
				b.fact(sound, engine.SocketsGone)
				time.Sleep(DefaultGrace - time.Millisecond)
				b.fact(sound, engine.SocketsPresent)
				time.Sleep(30 * time.Minute)
				if got := b.see(placed.ID).Status; got != StatusInProgress {
					t.Errorf("status = %s, want in-progress", got)
				}
			})
		})
	}
}

func TestSilenceOnHoldIsNotATimeout(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: good})
		b.say(leg, dialog.Reoffer{SDP: answer("203.0.113.5", 40000, "8", "a=inactive\r\n"), Accept: func([]byte) {}, Reject: func(int) {}})
		b.fact(sound, engine.RTPTimeout)
		if got := b.see(placed.ID); got.Status != StatusInProgress || !got.Held {
			t.Errorf("call = %+v, want in progress and held", briefOf(got))
		}
	})
}

func TestHangupWhileItRingsCancels(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Ringing{Code: 180})
		got, err := b.Hangup(b.t.Context(), placed.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantCall(t, got, brief{Status: StatusCanceled, Reason: "api_hangup", By: "local", Code: 487})
		wantLog(t, sound.log(), "ringing", "end canceled api_hangup", "close")
		again, err := b.Hangup(b.t.Context(), placed.ID)
		if err != nil || again.Status != StatusCanceled {
			t.Errorf("again: %v, %v; want the same", again.Status, err)
		}
		wantLog(t, leg.hangupReasons(), "api_hangup")
	})
}

func TestAnAnswerThatCrossesOurHangupDoesNotRevive(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.silent = true
		placed, leg, sound := b.place(Request{})
		got, err := b.Hangup(b.t.Context(), placed.ID)
		if err != nil || got.Status != StatusQueued || got.EndedAt != nil {
			t.Errorf("call = %+v, %v; want not final while the other side is silent", briefOf(got), err)
		}
		b.say(leg, dialog.Answered{SDP: good})
		b.say(leg, dialog.Reoffer{SDP: good, Accept: func([]byte) { t.Error("accepted") }, Reject: func(int) {}})
		b.say(leg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteBye, By: "remote"}})
		wantCall(t, b.see(placed.ID), brief{Status: StatusCanceled, Reason: "api_hangup", By: "local"})
		wantLog(t, sound.log(), "end canceled api_hangup", "close")
	})
}

func TestACallWhoseEndIsNeverConfirmedIsGivenUp(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.silent = true
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: good})
		time.Sleep(time.Second)
		if _, err := b.Hangup(b.t.Context(), placed.ID); err != nil {
			t.Fatal(err)
		}
		wantLog(t, sound.log(), "start PCMA 203.0.113.5:40000", "answered", "end completed api_hangup")
		time.Sleep(guardTime)
		wantCall(t, b.see(placed.ID), brief{Status: StatusCompleted, Reason: "api_hangup", By: "local", Code: 200, Codec: "PCMA", Duration: time.Second})
		if got := b.Running(); got != 0 {
			t.Errorf("running = %d, want 0", got)
		}
	})
}

func TestAFloodOfRingingIsBoundedAndTheEndStillArrives(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, _ := b.place(Request{})
		c, err := b.find(placed.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.inbox.put(func() { time.Sleep(time.Second) }) // the call is busy meanwhile
		for range 10 * inboxLimit {
			leg.emit(dialog.Ringing{Code: 180})
		}
		b.say(leg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonBusy, Code: 486, By: "remote"}})
		time.Sleep(2 * time.Second)
		if got := b.see(placed.ID).Status; got != StatusBusy {
			t.Errorf("status = %s, want busy", got)
		}
		if got := c.inbox.lost(); got < 8*inboxLimit {
			t.Errorf("lost = %d, want most of the flood", got)
		}
	})
}

func TestEventsBeforeTheInviteReturnsAreNotLost(t *testing.T) {
	run(t, func(c *Config) {
		dial := c.Dial
		c.Dial = func(i dialog.Invitation, on func(dialog.Event)) Leg {
			on(dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonUnregistered, By: "system"}})
			return dial(i, on)
		}
	}, func(b *bench) {
		placed, _, _ := b.place(Request{})
		wantCall(t, b.see(placed.ID), brief{Status: StatusFailed, Reason: "unregistered", By: "system"})
	})
}

func TestWhenTheMachineIsFullNewCallsAreRefused(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.openErr = fmt.Errorf("place call: %w", engine.ErrOverloaded)
		_, err := b.Dial(b.t.Context(), Request{To: "+4930123456"})
		wantRefusal(t, err, Unavailable, CodeOverloaded, "")
	})
}

func TestWithoutAPortThereIsNoCall(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.openErr = errors.New("no port")
		_, err := b.Dial(b.t.Context(), Request{To: "+4930123456"})
		wantRefusal(t, err, Unavailable, CodeMedia, "")
		synctest.Wait()
		if n := len(b.List(b.t.Context(), Filter{}).Calls); n != 0 || b.Running() != 0 || len(b.legs) != 0 {
			t.Errorf("calls = %d, running = %d, invited = %d; want nothing", n, b.Running(), len(b.legs))
		}
	})
}
