package sdp

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	pion "github.com/pion/sdp/v3"
)

var local = Local{
	Addr: netip.MustParseAddrPort("192.0.2.10:30000"), DTMF: true, SessionID: 4711, Version: 1,
}

var addrs = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{})}

// lines joins the lines of a description as they are sent.
func lines(l ...string) []byte { return []byte(strings.Join(l, "\r\n") + "\r\n") }

// head is the session level of a far end at this address.
func head(address string) []string {
	return []string{"v=0", "o=- 1 1 IN IP4 198.51.100.1", "s=-", "c=" + address, "t=0 0"}
}

// from is a description with this session level and these further lines.
func from(address string, more ...string) []byte { return lines(append(head(address), more...)...) }

const there = "IN IP4 198.51.100.1"

func TestTheOfferIsWhatProvidersExpect(t *testing.T) {
	want := lines("v=0", "o=- 4711 1 IN IP4 192.0.2.10", "s=-", "c=IN IP4 192.0.2.10", "t=0 0",
		"m=audio 30000 RTP/AVP 8 9 0 101",
		"a=rtpmap:8 PCMA/8000", "a=rtpmap:9 G722/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15",
		"a=ptime:20", "a=rtcp-mux", "a=sendrecv")
	if diff := cmp.Diff(string(want), string(Offer(local))); diff != "" {
		t.Error(diff)
	}
	six := Local{
		Addr: netip.MustParseAddrPort("[2001:db8::1]:4000"), Codecs: []Codec{{"G722", 9, 8000}, PCMU()}, SessionID: 1, Version: 2, Direction: SendOnly,
	}
	want = lines("v=0", "o=- 1 2 IN IP6 2001:db8::1", "s=-", "c=IN IP6 2001:db8::1", "t=0 0",
		"m=audio 4000 RTP/AVP 9 0", "a=rtpmap:9 G722/8000", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=rtcp-mux", "a=sendonly")
	if diff := cmp.Diff(string(want), string(Offer(six))); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherImplementationReadsWhatWeWrite(t *testing.T) {
	answer, _, err := Answer(local, from(there, "m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "m=video 5000 RTP/AVP 96"))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{Offer(local), answer} {
		var d pion.SessionDescription
		if err := d.Unmarshal(body); err != nil {
			t.Fatalf("%v in\n%s", err, body)
		}
		if d.MediaDescriptions[0].MediaName.Port.Value != 30000 || d.Origin.SessionID != 4711 {
			t.Errorf("it reads %+v", d)
		}
	}
}

// said is a description that says nothing of its reports.
func said(at netip.AddrPort, c Codec, dtmf uint8, direction string, ptime int, held bool) Remote {
	return Remote{
		Addr: at, Codec: c, DTMF: dtmf, RTCP: netip.AddrPortFrom(at.Addr(), at.Port()+1),
		Direction: direction, PtimeMS: ptime, Held: held,
	}
}

func TestReadAnswer(t *testing.T) {
	at := netip.MustParseAddrPort("198.51.100.1:4000")
	for _, c := range []struct {
		name   string
		answer []byte
		want   Remote
		err    error
	}{
		{
			"PCMA with digits", from(there, "m=audio 4000 RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20"),
			said(at, PCMA(), 101, SendRecv, 20, false),
			nil,
		},
		{"static types without rtpmap", from(there, "m=audio 4000 RTP/AVP 0"), said(at, PCMU(), 0, SendRecv, 20, false), nil},
		{"the first codec of the answer counts", from(there, "m=audio 4000 RTP/AVP 0 8"), said(at, PCMU(), 0, SendRecv, 20, false), nil},
		{"a codec of theirs first, which was not offered", from(there, "m=audio 4000 RTP/AVP 18 3 8"), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{"digits under another type", from(there, "m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"), said(at, PCMA(), 96, SendRecv, 20, false), nil},
		{"digits with a wideband clock are not ours", from(there, "m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/16000"), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{
			"A-law under a dynamic type, lower case", from(there, "m=audio 4000 RTP/AVP 97", "a=rtpmap:97 pcma/8000/1"),
			said(at, Codec{"PCMA", 97, 8000}, 0, SendRecv, 20, false),
			nil,
		},
		{"stereo is no telephone codec", from(there, "m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMA/8000/2"), Remote{}, ErrNoCodec},
		{"connection at the stream", lines("v=0", "o=- 1 1 IN IP4 1.2.3.4", "s=-", "t=0 0", "m=audio 4000 RTP/AVP 8", "c="+there), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{"connection at both levels: the stream's counts", from("IN IP4 203.0.113.1", "m=audio 4000 RTP/AVP 8", "c="+there), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{"IPv6", from("IN IP6 2001:db8::5", "m=audio 4000 RTP/AVP 8"), said(netip.MustParseAddrPort("[2001:db8::5]:4000"), PCMA(), 0, SendRecv, 20, false), nil},
		{
			"bare line feeds, trailing spaces, odd order", []byte("v=0\no=- 1 1 IN IP4 1.2.3.4\nt=0 0\ns= \nb=XX:9\nc=" + there + " \nm=audio 4000 RTP/AVP 8 \n\n\na=sendrecv\n"),
			said(at, PCMA(), 0, SendRecv, 20, false),
			nil,
		},
		{"a fax line beside it", from(there, "m=audio 4000 RTP/AVP 8", "m=image 0 udptl t38"), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{"rtcp-mux and AVPF", from(there, "m=audio 4000 RTP/AVPF 8", "a=rtcp-mux", "a=rtcp:4001"), Remote{Addr: at, Codec: PCMA(), RTCP: at, Mux: true, Direction: SendRecv, PtimeMS: 20}, nil},
		{
			"reports elsewhere, on another host which is not believed", from(there, "m=audio 4000 RTP/AVP 9", "a=rtcp:53020 IN IP4 192.0.2.99"),
			Remote{Addr: at, Codec: G722(), RTCP: netip.MustParseAddrPort("198.51.100.1:53020"), Direction: SendRecv, PtimeMS: 20},
			nil,
		},
		{"ptime 30", from(there, "m=audio 4000 RTP/AVP 8", "a=ptime:30"), said(at, PCMA(), 0, SendRecv, 30, false), nil},
		{"maxptime below ptime", from(there, "m=audio 4000 RTP/AVP 8", "a=maxptime:10"), said(at, PCMA(), 0, SendRecv, 10, false), nil},
		{"nonsense ptime", from(there, "m=audio 4000 RTP/AVP 8", "a=ptime:-5"), said(at, PCMA(), 0, SendRecv, 20, false), nil},
		{"sendonly at session level is hold", from(there, "a=sendonly", "m=audio 4000 RTP/AVP 8"), said(at, PCMA(), 0, SendOnly, 20, true), nil},
		{"the stream's direction wins", from(there, "a=sendonly", "m=audio 4000 RTP/AVP 8", "a=recvonly"), said(at, PCMA(), 0, RecvOnly, 20, false), nil},
		{"inactive is hold", from(there, "m=audio 4000 RTP/AVP 8", "a=inactive"), said(at, PCMA(), 0, Inactive, 20, true), nil},
		{"an address of zero is hold", from("IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 8"), said(netip.MustParseAddrPort("0.0.0.0:4000"), PCMA(), 0, SendRecv, 20, true), nil},
		{"loopback is left to CheckPeer", from("IN IP4 127.0.0.1", "m=audio 4000 RTP/AVP 8"), said(netip.MustParseAddrPort("127.0.0.1:4000"), PCMA(), 0, SendRecv, 20, false), nil},

		{"nothing", nil, Remote{}, ErrNoSDP},
		{"blank", []byte(" \r\n"), Remote{}, ErrNoSDP},
		{"something else", []byte("<html>"), Remote{}, ErrSyntax},
		{"no audio", from(there), Remote{}, ErrRejected},
		{"port 0", from(there, "m=audio 0 RTP/AVP 8"), Remote{}, ErrRejected},
		{"SRTP was not offered", from(there, "m=audio 4000 RTP/SAVP 8"), Remote{}, ErrRejected},
		{"no common codec", from(there, "m=audio 4000 RTP/AVP 18 3"), Remote{}, ErrNoCodec},
		{"digits alone are no codec", from(there, "m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), Remote{}, ErrNoCodec},
		{"no connection", lines("v=0", "s=-", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"a host name", from("IN IP4 media.example.com", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"a zone", from("IN IP6 fe80::1%eth0", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"multicast", from("IN IP4 224.2.1.1/127", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"multicast IPv6", from("IN IP6 ff02::1", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"broadcast", from("IN IP4 255.255.255.255", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"link-local", from("IN IP4 169.254.169.254", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"not a host", from("IN IP4 0.1.2.3", "m=audio 4000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"our own port", from("IN IP4 192.0.2.10", "m=audio 30000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"our own port, mapped", from("IN IP6 ::ffff:192.0.2.10", "m=audio 30000 RTP/AVP 8"), Remote{}, ErrAddress},
		{"port beyond 65535", from(there, "m=audio 65536 RTP/AVP 8"), Remote{}, ErrSyntax},
		{"a media line cut off", from(there, "m=audio 4000"), Remote{}, ErrSyntax},
		{"too many media lines", from(there, strings.Split(strings.Repeat("m=video 0 RTP/AVP 96\n", 17), "\n")...), Remote{}, ErrSyntax},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadAnswer(local, c.answer)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got, addrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswerFollowsTheOffer(t *testing.T) {
	for _, c := range []struct {
		name  string
		local func(*Local)
		offer []byte
		media []string // our lines from the first m= on
		held  bool
		err   error
	}{
		{
			"a refresh", nil, from(there, "m=audio 4000 RTP/AVP 8 0 96", "a=rtpmap:96 telephone-event/8000"),
			[]string{"m=audio 30000 RTP/AVP 8 96", "a=rtpmap:8 PCMA/8000", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15", "a=ptime:20", "a=sendrecv"},
			false, nil,
		},
		{
			"another codec", nil, from(there, "m=audio 4000 RTP/AVP 18 0"),
			[]string{"m=audio 30000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv"},
			false, nil,
		},
		{
			"RTP and RTCP on one port", nil, from(there, "m=audio 4000 RTP/AVP 9 8", "a=rtcp-mux"),
			[]string{"m=audio 30000 RTP/AVP 9", "a=rtpmap:9 G722/8000", "a=ptime:20", "a=rtcp-mux", "a=sendrecv"},
			false, nil,
		},
		{
			"hold", nil, from(there, "m=audio 4000 RTP/AVP 8", "a=sendonly"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=recvonly"},
			true, nil,
		},
		{
			"hold with nothing at all", nil, from(there, "a=inactive", "m=audio 4000 RTP/AVP 8"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=inactive"},
			true, nil,
		},
		{
			"hold the old way", nil, from("IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 8"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv"},
			true, nil,
		},
		{
			"they only listen", nil, from(there, "m=audio 4000 RTP/AVP 8", "a=recvonly"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendonly"},
			false, nil,
		},
		{
			"both want to send only", func(l *Local) { l.Direction = SendOnly }, from(there, "m=audio 4000 RTP/AVP 8", "a=sendonly"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=inactive"},
			true, nil,
		},
		{
			"video, a secure twin and a fax are refused in their places", nil,
			from(there, "m=video 5000 RTP/AVP 96 97", "m=audio 5002 RTP/SAVP 8", "m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/AVP 0", "m=image 5004 udptl t38"),
			[]string{
				"m=video 0 RTP/AVP 96 97", "m=audio 0 RTP/SAVP 8", "m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv",
				"m=audio 0 RTP/AVP 0", "m=image 0 udptl t38",
			},
			false, nil,
		},
		{
			"a second audio line is taken when the first is unusable", nil, from(there, "m=audio 0 RTP/AVP 8", "m=audio 4000 RTP/AVP 8"),
			[]string{"m=audio 0 RTP/AVP 8", "m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv"},
			false, nil,
		},
		{
			"digits are not answered when we do not want them", func(l *Local) { l.DTMF = false }, from(there, "m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"),
			[]string{"m=audio 30000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv"},
			false, nil,
		},
		{"no common codec", nil, from(there, "m=audio 4000 RTP/AVP 18"), nil, false, ErrNoCodec},
		{"no audio", nil, from(there, "m=image 5004 udptl t38"), nil, false, ErrRejected},
		{"no description", nil, nil, nil, false, ErrNoSDP},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := local
			if c.local != nil {
				c.local(&l)
			}
			body, remote, err := Answer(l, c.offer)
			if !errors.Is(err, c.err) || remote.Held != c.held {
				t.Fatalf("error %v, held %t; want %v, %t", err, remote.Held, c.err, c.held)
			}
			if err != nil {
				return
			}
			i := bytes.Index(body, []byte("m="))
			if diff := cmp.Diff(string(lines(c.media...)), string(body[i:])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheVersionRisesWithEachChangeOnly(t *testing.T) {
	l := local
	version := func(body []byte) uint64 {
		t.Helper()
		v, ok := originVersion(body)
		if !ok {
			t.Fatalf("no version in %s", body)
		}
		return v
	}
	answer := func(offer []byte) []byte {
		t.Helper()
		body, _, err := Answer(l, offer)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	talk := from(there, "m=audio 4000 RTP/AVP 8")
	hold := from(there, "m=audio 4000 RTP/AVP 8", "a=sendonly")
	l.Previous = Offer(l)
	for i, c := range []struct {
		offer []byte
		want  uint64
	}{{talk, 2}, {talk, 2}, {hold, 3}, {hold, 3}, {talk, 4}} {
		l.Previous = answer(c.offer)
		if v := version(l.Previous); v != c.want {
			t.Errorf("answer %d has version %d, want %d", i, v, c.want)
		}
	}
	if !bytes.Equal(Offer(Local{Addr: local.Addr, DTMF: true, SessionID: 4711, Previous: Offer(local)}), Offer(local)) {
		t.Error("the same offer again is not identical")
	}
}

func TestLoopbackIsBelievedOnlyFromLoopback(t *testing.T) {
	for _, c := range []struct {
		media, peer string
		ok          bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "198.51.100.1", false},
		{"::1", "198.51.100.1", false},
		{"::ffff:127.0.0.1", "198.51.100.1", false},
		{"198.51.100.1", "203.0.113.1", true},
		{"10.0.0.1", "203.0.113.1", true},
	} {
		err := CheckPeer(netip.MustParseAddr(c.media), netip.MustParseAddr(c.peer))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("media %s from %s: %v", c.media, c.peer, err)
		}
	}
}

// seeds are descriptions as providers and telephones write them.
func seeds() [][]byte {
	return [][]byte{
		// An Asterisk-based provider.
		lines("v=0", "o=root 1821 1821 IN IP4 198.51.100.20", "s=Asterisk PBX", "c=IN IP4 198.51.100.20", "t=0 0",
			"m=audio 14582 RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16",
			"a=silenceSupp:off - - - -", "a=ptime:20", "a=maxptime:150", "a=sendrecv"),
		// A router as telephone system.
		lines("v=0", "o=user 7316517 7316517 IN IP4 192.168.178.1", "s=call", "c=IN IP4 192.168.178.1", "t=0 0",
			"m=audio 7078 RTP/AVP 9 8 0 2 102 100 99 97 101", "a=sendrecv", "a=rtpmap:2 G726-32/8000", "a=rtpmap:102 G726-32/8000",
			"a=rtpmap:97 iLBC/8000", "a=fmtp:97 mode=30", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=rtcp:7079"),
		// A session border controller without media-level lines.
		lines("v=0", "o=- 391523 0 IN IP4 203.0.113.40", "s=SBC call", "c=IN IP4 203.0.113.40", "b=AS:84", "t=0 0", "a=sendrecv",
			"m=audio 20234 RTP/AVP 8 96", "b=RS:0", "b=RR:0", "a=rtpmap:96 telephone-event/8000", "a=ptime:20"),
		// A switch with early media and SRTP beside it.
		lines("v=0", "o=FreeSWITCH 1690 1691 IN IP4 203.0.113.9", "s=FreeSWITCH", "c=IN IP4 203.0.113.9", "t=0 0",
			"m=audio 28492 RTP/SAVP 8 101", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "m=audio 28490 RTP/AVP 8 101",
			"a=rtpmap:101 telephone-event/8000", "a=rtcp-mux", "m=video 0 RTP/AVP 19"),
		// A change to fax.
		lines("v=0", "o=- 2 3 IN IP4 198.51.100.1", "s=-", "t=0 0", "m=image 4000 udptl t38", "c=IN IP4 198.51.100.1", "a=T38FaxVersion:0"),
		// A telephone over IPv6 that holds the call.
		lines("v=0", "o=- 5 6 IN IP6 2001:db8::7", "s=-", "c=IN IP6 ::", "t=0 0", "m=audio 4000 RTP/AVP 0", "a=inactive"),
	}
}

func TestProvidersAreUnderstood(t *testing.T) {
	for i, want := range []string{"PCMA 101 198.51.100.20:14582", "G722 101 192.168.178.1:7078", "PCMA 96 203.0.113.40:20234"} {
		r, err := ReadAnswer(local, seeds()[i])
		if err != nil {
			t.Error(err)
			continue
		}
		if got := r.Codec.Name + " " + map[uint8]string{101: "101", 96: "96"}[r.DTMF] + " " + r.Addr.String(); got != want {
			t.Errorf("seed %d: %s, want %s", i, got, want)
		}
	}
	l := local
	l.Codecs = []Codec{PCMU(), PCMA()}
	if r, err := ReadAnswer(l, seeds()[1]); err != nil || r.Codec.Name != "PCMA" {
		t.Errorf("without G.722 in the list: %+v, %v", r, err)
	}
}

func FuzzDescription(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadAnswer(local, data)
		if err == nil && (!r.Addr.IsValid() || r.Addr.Port() == 0 || r.PtimeMS < 10 || r.PtimeMS > 200) {
			t.Fatalf("%+v", r)
		}
		body, offered, err := Answer(local, data)
		if err != nil {
			return
		}
		// Our answer must be readable, and have as many media lines as the offer.
		d, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := parse(body)
		if err != nil {
			t.Fatalf("%v in our own\n%s", err, body)
		}
		if len(mine.media) != len(d.media) {
			t.Fatalf("%d media lines answered with %d:\n%s", len(d.media), len(mine.media), body)
		}
		back, err := ReadAnswer(Local{Addr: netip.MustParseAddrPort("203.0.113.1:1")}, acceptedFirst(mine))
		if err != nil || back.Codec.Name != offered.Codec.Name {
			t.Fatalf("our answer reads as %+v, %v", back, err)
		}
	})
}

// acceptedFirst is a description of our own with only its accepted stream.
func acceptedFirst(d *description) []byte {
	for _, m := range d.media {
		if m.port == 0 {
			continue
		}
		more := []string{"m=audio 30000 " + m.proto + " " + strings.Join(m.formats, " ")}
		for _, a := range m.attributes {
			more = append(more, "a="+a.key+":"+a.value)
		}
		return from(d.connection, more...)
	}
	return nil
}
