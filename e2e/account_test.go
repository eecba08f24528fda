package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
	"phonesocket/internal/phonenet"
)

// TestCallsCrossOneProxyAndTwo has the route set of RFC 3261 section 12.1.2 checked by proxies that drop what does not
// follow it, with an INVITE of more than 1,300 bytes.
func TestCallsCrossOneProxyAndTwo(t *testing.T) {
	peers(t, "kamailio", "sipp")
	for _, test := range []struct {
		name     string
		network  string
		proxies  int
		outbound bool
	}{
		{name: "one over UDP", network: "udp", proxies: 1},
		{name: "one over TCP", network: "tcp", proxies: 1},
		{name: "two over UDP", network: "udp", proxies: 2},
		{name: "two, the first over TCP, the second over UDP", network: "tcp", proxies: 2},
		{name: "two, the first over TLS, the second over UDP", network: "tls", proxies: 2},
		{name: "one that is an outbound proxy over UDP", network: "udp", proxies: 1, outbound: true},
		{name: "one that is an outbound proxy over TCP", network: "tcp", proxies: 1, outbound: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			callee := startCallee(t, port, "answers")
			if test.proxies == 2 {
				port = startProviderTo(t, port, "TRUSTED").port
			}
			p := startProviderTo(t, port)
			env := append(p.account(test.network), "SIP_DISPLAY_NAME="+strings.Repeat("A long name ", 100))
			if test.outbound {
				env = append(env, "SIP_SERVER=sip.test.invalid", fmt.Sprintf("SIP_PROXY=127.0.0.1:%d", p.port))
			}
			g := startGateway(t, env...)
			g.waitReady(t)
			id := g.dial(t, object{"to": "900"}).text("id")
			g.waitStatus(t, id, 10*time.Second, "in-progress")
			g.hangup(t, id)
			if call := g.waitStatus(t, id, 10*time.Second, "completed"); call.text("reason") != "api_hangup" {
				t.Errorf("reason = %q, want api_hangup", call.text("reason"))
			}
			waitScenario(t, callee)
		})
	}
}

// TestTLSThatDoesNotFitIsExplained: the advice has to name the setting that cures it.
func TestTLSThatDoesNotFitIsExplained(t *testing.T) {
	peers(t, "kamailio")
	p := startProvider(t)
	other := t.TempDir()
	writeCertificate(t, other)
	account := p.account("tls")
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(account), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	}
	for _, test := range []struct {
		name, advice string
		env          []string
	}{
		{"an authority that the system does not know", "SIP_TLS_CA", without("SIP_TLS_CA")},
		{"another authority", "SIP_TLS_CA", append(without("SIP_TLS_CA"), "SIP_TLS_CA="+filepath.Join(other, "cert.pem"))},
		{"another name", "SIP_TLS_SERVER_NAME", append(without("SIP_TLS_SERVER_NAME"), "SIP_TLS_SERVER_NAME=sip.example.com")},
		{"a port that does not speak TLS", "5061", append(without("SIP_SERVER"), fmt.Sprintf("SIP_SERVER=localhost:%d", p.port))},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, test.env...)
			var state object
			eventually(t, 10*time.Second, "told with advice", func() (bool, string) {
				_, body, err := g.try("GET", "/v1/registrations", nil)
				all, _ := body["registrations"].([]any)
				if err != nil || len(all) != 1 {
					return false, fmt.Sprint(body, err)
				}
				inner, _ := all[0].(map[string]any)
				state = inner
				return state.text("state") == "failed", fmt.Sprint(body)
			})
			if !strings.Contains(state.text("advice"), test.advice) {
				t.Errorf("state = %v, want advice that names %s", state, test.advice)
			}
			if status, _, _ := g.try("GET", "/ready", nil); status != 503 {
				t.Errorf("GET /ready = %d, want 503", status)
			}
			g.waitOutput(t, test.advice, time.Second)
		})
	}
}

// TestEarlyMediaIsHeardOnTheSocketBeforeTheAnswer is what lets a caller hear "this number has changed" for free.
func TestEarlyMediaIsHeardOnTheSocketBeforeTheAnswer(t *testing.T) {
	peers(t)
	box, err := phonenet.Start(t.Context(), phonenet.Config{Users: map[string]string{"alice": "alice-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	g := startGateway(t, "SIP_SERVER="+box.Addr().String(), "SIP_USER=alice", "SIP_PASSWORD=alice-secret")
	g.waitReady(t)
	call := g.dial(t, object{"to": "106"})
	ear := connect(t, call.text("listen_url"))
	var early []int16
	ear.wait(t, 10*time.Second, "half a second of sound, and no answer yet", func() bool {
		for _, text := range ear.texts {
			if text.text("type") == "answered" {
				return true
			}
		}
		for i := 0; i+1 < len(ear.audio) && len(early) < 8000; i += 2 {
			if v := int16(ear.audio[i]) | int16(ear.audio[i+1])<<8; len(early) > 0 || v < -500 || v > 500 {
				early = append(early, v)
			}
		}
		if len(early) < 8000 {
			early = early[:0]
		}
		return len(early) >= 8000
	})
	if level := measure.Level(early); len(early) < 8000 || level < -40 {
		t.Errorf("%d samples at %.1f dBov were heard before the answer, want 8000 of sound", len(early), level)
	}
	ear.waitText(t, "answered", 10*time.Second)
	g.hangup(t, call.text("id"))
	g.waitStatus(t, call.text("id"), 5*time.Second, "completed")
}
