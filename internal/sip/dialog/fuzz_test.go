package dialog

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// sink takes what we send and remembers the first INVITE.
type sink struct{ invite chan string }

func (s *sink) Send(_ transport.Target, msg []byte) {
	if strings.HasPrefix(string(msg), "INVITE") {
		select {
		case s.invite <- string(msg):
		default:
		}
	}
}

func (s *sink) Local(transport.Target) netip.AddrPort {
	return netip.MustParseAddrPort("198.51.100.7:5070")
}

// FuzzWhatAPeerMaySay plays any messages, separated by lines of "---", into a
// call. BRANCH, TAG and CALL stand for those of our INVITE, so that mutations
// reach the call. Nothing may panic, and the loop has to go on.
func FuzzWhatAPeerMaySay(f *testing.F) {
	const head = "Via: SIP/2.0/UDP 198.51.100.7:5070;branch=BRANCH\r\nFrom: <sip:a@x>;tag=TAG\r\nTo: <sip:b@x>;tag=b\r\nCall-ID: CALL\r\nCSeq: 1 INVITE\r\n"
	const from = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKq\r\nFrom: <sip:b@x>;tag=b\r\nTo: <sip:a@x>;tag=TAG\r\nCall-ID: CALL\r\nCSeq: 5 "
	const sdp = "Content-Type: application/sdp\r\n\r\nv=0\r\n"
	up := "SIP/2.0 200 OK\r\n" + head + "Contact: <sip:b@192.0.2.1>\r\nRecord-Route: <sip:192.0.2.1;lr>\r\nSession-Expires: 90;refresher=uas\r\n" + sdp
	f.Add("SIP/2.0 183 x\r\n" + head + "Require: 100rel\r\nRSeq: 1\r\n" + sdp + "\n---\n" + up)
	f.Add("SIP/2.0 401 x\r\n" + head + "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n\r\n")
	f.Add("SIP/2.0 422 x\r\n" + head + "Min-SE: 4000\r\n\r\n")
	f.Add("SIP/2.0 480 x\r\n" + head + "Reason: Q.850;cause=17;text=\"a, b\"\r\n\r\n")
	for _, method := range []string{"INVITE", "UPDATE", "BYE", "INFO", "REFER", "ACK", "OPTIONS"} {
		f.Add(up + "\n---\n" + method + " sip:a@198.51.100.7 SIP/2.0\r\n" + from + method + "\r\nRequire: x\r\nSession-Expires: 5\r\n" + sdp)
	}
	const caller = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKc\r\nFrom: <sip:b@x>;tag=c\r\nTo: <sip:a@x>\r\nCall-ID: c\r\nCSeq: 5 "
	f.Add("INVITE sip:a@198.51.100.7 SIP/2.0\r\n" + caller + "INVITE\r\nRequire: 100rel\r\nP-Asserted-Identity: \"x\" <tel:+1>\r\n" + sdp +
		"\n---\nCANCEL sip:a@198.51.100.7 SIP/2.0\r\n" + caller + "CANCEL\r\n\r\n")
	f.Add("INVITE sip:a@198.51.100.7 SIP/2.0\r\n" + caller + "INVITE\r\nSession-Expires: 90\r\n\r\n\n---\nACK sip:a@198.51.100.7 SIP/2.0\r\n" + caller + "ACK\r\n" + sdp)
	f.Fuzz(func(t *testing.T, script string) {
		panics := play(t, strings.Split(script, "\n---\n"))
		if panics != 0 {
			t.Errorf("%d panics", panics)
		}
	})
}

func play(t *testing.T, script []string) uint64 {
	s := &sink{invite: make(chan string, 1)}
	to := transport.Target{Network: "udp", Addr: netip.MustParseAddrPort("192.0.2.1:5060")}
	var ua *UA
	layer := transaction.New(transaction.Config{
		Transport: s,
		Requests:  func(s *transaction.Server) { ua.Serve(s) },
		Stray:     func(r *sip.Response, from transport.Target) { ua.Stray(r, from) },
		Logger:    slog.New(slog.DiscardHandler),
	})
	ua = New(Config{
		Layer: layer, Account: fakeAccount{}, Digest: fakeDigest{}, Logger: slog.New(slog.DiscardHandler),
		Path: func() (registration.Path, error) {
			return registration.Path{Target: to, Contact: sip.Uri{Scheme: "sip", Host: "198.51.100.7"}}, nil
		},
		Incoming: func(a Arrival) (func(Event), int) {
			a.Dialog.Ring()
			a.Dialog.Answer([]byte(offer))
			return func(Event) {}, 0
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- layer.Run(ctx) }()
	ua.Invite(Invitation{To: "+4930123", Offer: []byte(offer)}, func(e Event) {
		if r, ok := e.(Reoffer); ok {
			r.Accept([]byte(offer))
		}
	})
	invite := siptest.Message{Text: <-s.invite}
	fill := strings.NewReplacer("BRANCH", invite.Param("Via", "branch"), "TAG", invite.Param("From", "tag"), "CALL", invite.Header("Call-ID"))
	for _, text := range script {
		if msg, err := transport.Parse([]byte(fill.Replace(text))); err == nil {
			layer.Receive(transport.Incoming{Msg: msg, From: to})
		}
	}
	alive := make(chan struct{})
	layer.Do(func() { layer.Do(func() { close(alive) }) })
	<-alive
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return layer.Stats().Panics
}
