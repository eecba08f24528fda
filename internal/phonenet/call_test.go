package phonenet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPhoneRegistersAndTalksToTheEcho(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	if r := p.register("Expires: 120"); !strings.HasPrefix(r.first, "SIP/2.0 200") {
		t.Fatalf("REGISTER got %q", r.first)
	}
	r, err := n.WaitRegistered(within(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if r.Received.String() != p.conn.LocalAddr().String() || r.Lease != 2*time.Minute {
		t.Errorf("registration is %+v", r)
	}

	p.newCall()
	c := p.dial("100", "8 101")
	if _, err := n.WaitState(within(t), StateConfirmed); err != nil {
		t.Fatal(err)
	}
	var got []string
	var first sound
	for i := range 5 {
		payload := strings.Repeat(string(rune('a'+i)), 160)
		p.talk(c, 8, uint16(65534+i), uint32(1000+160*i), []byte(payload))
		s := p.listen()
		if i == 0 {
			first = s
		}
		if s.seq != first.seq+uint16(i) || s.ts != first.ts+uint32(160*i) || s.ssrc != first.ssrc || s.payloadType != 8 {
			t.Errorf("packet %d came back as %d/%d pt %d, the first was %d/%d", i, s.seq, s.ts, s.payloadType, first.seq, first.ts)
		}
		got = append(got, s.payload[:3])
	}
	if diff := cmp.Diff([]string{"aaa", "bbb", "ccc", "ddd", "eee"}, got); diff != "" {
		t.Error(diff)
	}
	p.bye(c)
	ended, err := n.WaitState(within(t), StateEnded)
	if err != nil {
		t.Fatal(err)
	}
	want := Seen{Invite: 1, Ack: 1, Bye: 1}
	if diff := cmp.Diff(want, ended.Seen); diff != "" {
		t.Error(diff)
	}
	if ended.Reason != EndRemoteBye || ended.RTP.Received != 5 || ended.RTP.Sent != 5 || ended.RTP.Lost != 0 || ended.Script != "echo" {
		t.Errorf("call ended as %+v", ended)
	}
	pcm, err := n.Heard(within(t), ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(pcm) != 800 || pcm[0] != decodeALaw('a') || pcm[799] != decodeALaw('e') {
		t.Errorf("recording has %d samples", len(pcm))
	}
}
