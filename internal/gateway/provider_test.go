package gateway_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"phonesocket/internal/phonenet"
)

// wire notes what the telephone network receives and sends.
type wire struct {
	mu   sync.Mutex
	text []string
}

func (w *wire) listen(_ bool, text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
	return false
}

// requests returns the requests of a method that were received, oldest first.
func (w *wire) requests(method string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, text := range w.text {
		if strings.HasPrefix(text, method+" ") {
			all = append(all, text)
		}
	}
	return all
}

// header returns the value of the first header line of a name.
func header(text, name string) string {
	for line := range strings.SplitSeq(text, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return v
		}
	}
	return ""
}

// calling places a call to the echo, waits until it is up, hangs up and waits for its end.
func (r *rig) calling(t *testing.T) {
	t.Helper()
	r.dial(t, "100")
	if _, err := r.net.WaitState(t.Context(), phonenet.StateConfirmed); err != nil {
		t.Fatal(err)
	}
	if status := r.status(t, "POST", "/hangup"); status >= http.StatusMultipleChoices {
		t.Fatalf("POST /hangup = %d, want success", status)
	}
	if _, err := r.net.WaitState(t.Context(), phonenet.StateEnded); err != nil {
		t.Fatal(err)
	}
}

// TestCallsNameTheAddressThatTheProviderSees is what makes a call work behind NAT and Docker's bridge (RFC 3581).
func TestCallsNameTheAddressThatTheProviderSees(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			var w wire
			r := startRigWith(t, phonenet.Config{
				Network: network, Lose: w.listen,
				Behaviour: phonenet.Behaviour{PretendReceived: netip.MustParseAddrPort("203.0.113.9:40001")},
			}, slog.New(slog.DiscardHandler), "SIP_TRANSPORT="+network)
			r.calling(t)
			invites := w.requests("INVITE")
			if len(invites) == 0 {
				t.Fatal("no INVITE was seen")
			}
			for _, method := range []string{"INVITE", "ACK"} {
				all := w.requests(method)
				if got := header(all[len(all)-1], "Contact"); !strings.HasPrefix(got, "<sip:alice@203.0.113.9:40001") {
					t.Errorf("Contact of the %s is %s, want the address that the provider sees", method, got)
				}
			}
			r.stop()
			r.wait(t, 10*time.Second)
		})
	}
}

func TestRequestsNameThePortOfTheServer(t *testing.T) {
	var w wire
	r := startRigWith(t, phonenet.Config{Lose: w.listen, Behaviour: phonenet.Behaviour{StrictDigestURI: true}}, slog.New(slog.DiscardHandler))
	r.calling(t)
	for method, want := range map[string]string{"REGISTER": "REGISTER sip:%s SIP/2.0", "INVITE": "INVITE sip:100@%s SIP/2.0"} {
		want = fmt.Sprintf(want, r.net.Addr())
		if got, _, _ := strings.Cut(w.requests(method)[0], "\r\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	r.stop()
	r.wait(t, 10*time.Second)
}

func TestOnlyTheRealmsThatAreNamedGetCredentials(t *testing.T) {
	for _, tt := range []struct {
		realms     string
		registered bool
	}{{"phonenet, calls.example", true}, {"calls.example", false}} {
		t.Run(tt.realms, func(t *testing.T) {
			var log lockedBuffer
			var w wire
			r := launch(t, startBox(t, phonenet.Config{Lose: w.listen}), slog.New(slog.NewTextHandler(&log, nil)), "SIP_REALMS="+tt.realms)
			if tt.registered {
				if _, err := r.net.WaitRegistered(t.Context(), "alice"); err != nil {
					t.Error(err)
				}
			} else {
				r.eventually(t, "told with advice", func() bool { return strings.Contains(log.String(), "SIP_REALMS") })
				for _, text := range w.requests("REGISTER") {
					if header(text, "Authorization") != "" {
						t.Errorf("credentials were given to a realm that is not named:\n%s", text)
					}
				}
			}
			r.stop()
			r.wait(t, 10*time.Second)
		})
	}
}

// TestStrangersGetNoAnswerAndThoseOnTheListDo needs more than one loopback address, as Linux has.
func TestStrangersGetNoAnswerAndThoseOnTheListDo(t *testing.T) {
	r := startRig(t, "SIP_ALLOW_FROM=127.0.0.9")
	for _, tt := range []struct {
		from     string
		packets  int
		answered bool
	}{{"127.0.0.8:0", 3000, false}, {"127.0.0.9:0", 1, true}} {
		conn, err := net.ListenPacket("udp4", tt.from)
		if err != nil {
			t.Skipf("this system has no address %s: %v", tt.from, err)
		}
		defer conn.Close()
		to := net.UDPAddrFromAddrPort(r.Addresses().SIP)
		for i := range tt.packets {
			text := fmt.Sprintf("OPTIONS sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKscan%d;rport\r\nMax-Forwards: 70\r\n"+
				"From: <sip:sipvicious@1.1.1.1>;tag=%d\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: scan%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
				conn.LocalAddr(), i, i, i)
			if _, err := conn.WriteTo([]byte(text), to); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := conn.ReadFrom(make([]byte, 2000))
		if answered := err == nil && n > 0; answered != tt.answered {
			t.Errorf("from %s: answered %v, want %v", tt.from, answered, tt.answered)
		}
	}
	r.stop()
	r.wait(t, 5*time.Second)
}

// TestNoNumberAndNoSecretIsInTheLog places calls that end in many ways and reads all that is logged at info level.
func TestNoNumberAndNoSecretIsInTheLog(t *testing.T) {
	var log lockedBuffer
	r := startRigWith(t, phonenet.Config{}, slog.New(slog.NewTextHandler(&log, nil)), "DRAIN_TIMEOUT=0")
	numbers := []string{"+4930901820100", "+4930901820102", "+4930901820104", "+4930901820404"}
	for _, number := range numbers {
		r.dial(t, number)
	}
	r.eventually(t, "all but the echo over", func() bool {
		return !slices.ContainsFunc(r.net.Calls(), func(c phonenet.Call) bool { return c.State == phonenet.StateRinging }) && len(r.net.Calls()) == len(numbers)
	})
	if status, body := r.do(t, "POST", "/call", `{"to":"+49900123456"}`); status != http.StatusForbidden {
		t.Errorf("a premium number got %d %v, want 403", status, body)
	}
	r.stop()
	r.wait(t, 40*time.Second)
	for _, secret := range append(numbers, "900123456", "alice-secret") {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, log.String())
		}
	}
}

// TestAServerThatIsNotThereIsToldAtOnce is what somebody meets who mistypes the port (RFC 3261 section 18.4).
func TestAServerThatIsNotThereIsToldAtOnce(t *testing.T) {
	gone, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	var log lockedBuffer
	started := time.Now()
	r := launch(t, startBox(t, phonenet.Config{}), slog.New(slog.NewTextHandler(&log, nil)), "SIP_SERVER="+gone.LocalAddr().String())
	r.eventually(t, "told with advice", func() bool { return strings.Contains(log.String(), "check the port in SIP_SERVER") })
	if d := time.Since(started); runtime.GOOS == "linux" && d > 3*time.Second {
		t.Errorf("told after %s, want at once", d)
	}
	r.stop()
	r.wait(t, 5*time.Second)
}
