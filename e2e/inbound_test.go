package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/audio/sample"
	"phonesocket/internal/phonenet"
	"phonesocket/internal/test/sound"
)

// takingCalls is a gateway that takes calls, with the addresses of its line.
type takingCalls struct {
	*gateway
	speak, listen string
}

func startTakingCalls(t *testing.T, env ...string) takingCalls {
	t.Helper()
	speak, listen := freePort(t), freePort(t)
	env = append(env, fmt.Sprintf("SPEAK_PORT=%d", speak), fmt.Sprintf("LISTEN_PORT=%d", listen), "DRAIN_TIMEOUT=0s")
	g := takingCalls{
		gateway: startGateway(t, env...),
		speak:   fmt.Sprintf("ws://127.0.0.1:%d/", speak), listen: fmt.Sprintf("ws://127.0.0.1:%d/", listen),
	}
	g.waitReady(t)
	return g
}

// waitCall waits until the network sees its call in a state.
func waitCall(t *testing.T, box *phonenet.Net, state phonenet.State) phonenet.Call {
	t.Helper()
	c, err := box.WaitState(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dialIn lets the network call alice.
func dialIn(t *testing.T, box *phonenet.Net, c phonenet.Caller) string {
	t.Helper()
	id, err := box.Dial(t.Context(), "alice", c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// theCall waits until REST shows the one call there is in a status.
func (g takingCalls) theCall(t *testing.T, status string) object {
	t.Helper()
	var found object
	eventually(t, 10*time.Second, "a call is "+status, func() (bool, string) {
		_, body, err := g.try("GET", "/v1/calls", nil)
		calls, _ := body["calls"].([]any)
		if err != nil || len(calls) != 1 {
			return false, fmt.Sprint(body, err)
		}
		one, _ := calls[0].(map[string]any)
		found = one
		return found.text("status") == status, fmt.Sprint(one)
	})
	return found
}

func TestAnIncomingCallIsTakenByTheLineWithSpeechInBothDirections(t *testing.T) {
	peers(t)
	for name, late := range map[string]bool{"with an offer": false, "with a late offer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box, account := startBox(t)
			g := startTakingCalls(t, append(account, "INBOUND=accept")...)
			said := sound.Speech16k(t)
			phrase, rate := sample.Phrase()
			spoken := convert(t, phrase, rate, 8000)
			// What waits on the line is spoken when the caller has got through.
			mouth, ear := connect(t, g.speak), connect(t, g.listen)
			mouth.speak(t, said)
			mouth.send(t, object{"type": "mark", "name": "all said"})
			id := dialIn(t, box, phonenet.Caller{
				From: "+4930777", FromName: "Ann", To: "+4930999", LateOffer: late, Sound: phonenet.Say(spoken),
				Headers: map[string]string{"P-Asserted-Identity": `"Ann of the network" <sip:+4930778@x>`},
			})
			start := ear.waitText(t, "start", 10*time.Second)
			if start.text("direction") != "inbound" || start.text("from") != "+4930778" || start.text("to") != "+4930999" {
				t.Errorf("start = %v, want an inbound call from +4930778 to +4930999", start)
			}
			ear.waitText(t, "answered", 5*time.Second)
			mouth.waitText(t, "mark", 15*time.Second)
			wanted := 2*len(spoken) + 8000
			ear.wait(t, 15*time.Second, "all that the caller says is heard", func() bool { return len(ear.audio)/2 > wanted })
			call := g.call(t, start.text("call"))
			if call.text("direction") != "inbound" || call.text("from_name") != "Ann of the network" || call.text("status") != "in-progress" {
				t.Errorf("call = %v", call)
			}
			heard, err := box.Heard(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if status, err := box.Hangup(t.Context(), id); err != nil || status != http.StatusOK {
				t.Errorf("BYE was answered with %d, %v", status, err)
			}
			if end := ear.waitText(t, "end", 5*time.Second); end.text("reason") != "remote_bye" {
				t.Errorf("end = %v", end)
			}
			compare(t, "what the socket heard", convert(t, spoken, 8000, 16000), ear.heard(), 16000)
			compare(t, "what the caller heard", convert(t, said, 16000, 8000), heard, 8000)
		})
	}
}

func TestTheCallerHoldsAndResumesAndTheGatewayHangsUp(t *testing.T) {
	peers(t)
	box, account := startBox(t)
	g := startTakingCalls(t, append(account, "INBOUND=accept", "INBOUND_ANSWER=now")...)
	id := dialIn(t, box, phonenet.Caller{Sound: phonenet.Say(nil)})
	waitCall(t, box, phonenet.StateConfirmed)
	call := g.theCall(t, "in-progress")
	ear := connect(t, call.text("listen_url"))
	if status, err := box.Hold(t.Context(), id); err != nil || status != http.StatusOK {
		t.Errorf("hold got %d, %v", status, err)
	}
	ear.waitText(t, "held", 5*time.Second)
	if status, err := box.Resume(t.Context(), id); err != nil || status != http.StatusOK {
		t.Errorf("resume got %d, %v", status, err)
	}
	ear.waitText(t, "resumed", 5*time.Second)
	g.hangup(t, call.text("id"))
	if c := waitCall(t, box, phonenet.StateEnded); c.Reason != phonenet.EndRemoteBye || c.Seen.Bye != 1 {
		t.Errorf("the network saw %+v", c)
	}
}

func TestIncomingCallsAreRefusedByDefault(t *testing.T) {
	peers(t)
	box, account := startBox(t)
	g := startTakingCalls(t, account...)
	connect(t, g.listen)
	dialIn(t, box, phonenet.Caller{})
	if c := waitCall(t, box, phonenet.StateEnded); c.Code != 480 || c.Reason != phonenet.EndRejected {
		t.Errorf("the network saw %+v", c)
	}
}

func TestACallerWhoGivesUpIsNotConnected(t *testing.T) {
	peers(t)
	box, account := startBox(t)
	g := startTakingCalls(t, append(account, "INBOUND=accept")...)
	id := dialIn(t, box, phonenet.Caller{})
	waitCall(t, box, phonenet.StateRinging)
	g.theCall(t, "ringing")
	if status, err := box.Cancel(t.Context(), id); err != nil || status != http.StatusOK {
		t.Errorf("CANCEL got %d, %v", status, err)
	}
	if c := waitCall(t, box, phonenet.StateEnded); c.Code != 487 || c.Reason != phonenet.EndCanceled {
		t.Errorf("the network saw %+v", c)
	}
	if call := g.theCall(t, "no-answer"); call.text("reason") != "remote_cancel" {
		t.Errorf("call = %v", call)
	}
}

func TestRESTAnswersAndRefusesCallsThatRing(t *testing.T) {
	peers(t)
	box, account := startBox(t)
	g := startTakingCalls(t, append(account, "INBOUND=accept")...)
	dialIn(t, box, phonenet.Caller{Sound: phonenet.Say(nil)})
	id := g.theCall(t, "ringing").text("id")
	status, call, err := g.try("POST", "/v1/calls/"+id+"/answer", nil)
	if err != nil || status != http.StatusOK || call.text("status") != "in-progress" {
		t.Fatalf("answer = %d %v, %v", status, call, err)
	}
	if status, body, _ := g.try("POST", "/v1/calls/"+id+"/reject", nil); status != http.StatusConflict || body.text("code") != "call_not_ringing" {
		t.Errorf("reject of an answered call = %d %v", status, body)
	}
	g.hangup(t, id)
	waitCall(t, box, phonenet.StateEnded)

	second := dialIn(t, box, phonenet.Caller{})
	var ringing string
	eventually(t, 10*time.Second, "the second call rings", func() (bool, string) {
		_, body, err := g.try("GET", "/v1/calls?status=ringing", nil)
		calls, _ := body["calls"].([]any)
		if err != nil || len(calls) == 0 {
			return false, fmt.Sprint(body, err)
		}
		one, _ := calls[0].(map[string]any)
		ringing, _ = one["id"].(string)
		return true, ""
	})
	if status, call, err := g.try("POST", "/v1/calls/"+ringing+"/reject", object{"code": 603}); err != nil || status != http.StatusOK || call.text("status") != "canceled" {
		t.Errorf("reject = %d %v, %v", status, call, err)
	}
	if c, err := box.WaitCall(t.Context(), func(c phonenet.Call) bool { return c.ID == second && c.State == phonenet.StateEnded }); err != nil || c.Code != 603 {
		t.Errorf("the network saw %+v, %v", c, err)
	}
}

func TestAWebhookDecidesAboutCalls(t *testing.T) {
	peers(t)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	tests := []struct {
		name, answer, fallback string
		code                   int
		status                 string
	}{
		{"it accepts", `{"action":"accept","metadata":{"customer":"7"}}`, "reject", 200, "in-progress"},
		{"it refuses", `{"action":"reject","code":603}`, "accept", 603, "canceled"},
		{"it fails, and calls are refused then", `nonsense`, "reject", 480, "failed"},
		{"it fails, and calls are accepted then", `nonsense`, "accept", 200, "in-progress"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan object, 10)
			hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				question := object{}
				if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
					t.Error(err)
				}
				if signature := r.Header.Get("webhook-signature"); !strings.HasPrefix(signature, "v1,") {
					t.Errorf("signature = %q", signature)
				}
				asked <- question
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, test.answer)
			}))
			t.Cleanup(hook.Close)
			box, account := startBox(t)
			g := startTakingCalls(t, append(account,
				"INBOUND=ask", "INBOUND_ANSWER=now", "INBOUND_WEBHOOK_URL="+hook.URL, "INBOUND_WEBHOOK_SECRET="+secret,
				"INBOUND_WEBHOOK_PRIVATE=yes", "INBOUND_FALLBACK="+test.fallback)...)
			dialIn(t, box, phonenet.Caller{From: "+4930777", Sound: phonenet.Say(nil)})
			question := <-asked
			data, _ := question["data"].(map[string]any)
			if question.text("type") != "call.incoming" || data["from"] != "+4930777" {
				t.Errorf("question = %v", question)
			}
			call := g.theCall(t, test.status)
			if call.text("id") != data["id"] {
				t.Errorf("asked about %v, the call is %v", data["id"], call.text("id"))
			}
			c, err := box.WaitCall(t.Context(), func(c phonenet.Call) bool { return c.Code != 0 })
			if err != nil || c.Code != test.code {
				t.Errorf("the network saw %+v, %v", c, err)
			}
		})
	}
}

// TestARealPhoneCallsThroughARealProvider lets baresip dial alice through kamailio, which challenges the phone.
func TestARealPhoneCallsThroughARealProvider(t *testing.T) {
	peers(t, "kamailio", "baresip")
	for _, network := range []string{"udp", "tcp"} {
		t.Run("over "+network, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t)
			said := sound.Speech16k(t)
			phrase, rate := sample.Phrase()
			spoken := convert(t, phrase, rate, 48000)
			ph := startPhone(t, p, append(spoken, make([]int16, 20*48000)...))
			g := startTakingCalls(t, append(p.account(network), "INBOUND=accept")...)
			mouth, ear := connect(t, g.speak), connect(t, g.listen)
			mouth.speak(t, said)
			mouth.send(t, object{"type": "mark", "name": "all said"})
			ph.command(t, "dial", fmt.Sprintf("sip:alice@127.0.0.1:%d", p.port))
			start := ear.waitText(t, "start", 10*time.Second)
			if start.text("direction") != "inbound" || !strings.HasPrefix(start.text("from"), "sip:bob@") {
				t.Errorf("start = %v, want an inbound call of bob", start)
			}
			ear.waitText(t, "answered", 5*time.Second)
			mouth.waitText(t, "mark", 15*time.Second)
			wanted := len(spoken)/3 + 16000
			ear.wait(t, 15*time.Second, "all that the phone says is heard", func() bool { return len(ear.audio)/2 > wanted })
			g.hangup(t, start.text("call"))
			if call := g.waitStatus(t, start.text("call"), 5*time.Second, "completed"); call.text("reason") != "api_hangup" {
				t.Errorf("call = %v", call)
			}
			compare(t, "what the socket heard", convert(t, spoken, 48000, 16000), ear.heard(), 16000)
			compare(t, "what the phone heard", convert(t, said, 16000, 8000), ph.heard(t), 8000)
		})
	}
}
