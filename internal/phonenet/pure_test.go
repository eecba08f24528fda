package phonenet

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestG711KnowsItsCodeWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		codec  codec
		sample int16
		code   byte
		back   int16
	}{
		// ITU-T G.711 tables 1 and 2: the ends of the segments and the largest values.
		{mustCodec(t, codecPCMA), 0, 0xD5, 8},
		{mustCodec(t, codecPCMA), -1, 0x55, -8},
		{mustCodec(t, codecPCMA), 32767, 0xAA, 32256},
		{mustCodec(t, codecPCMA), -32768, 0x2A, -32256},
		{mustCodec(t, codecPCMA), 512, 0xF5, 528},
		{mustCodec(t, codecPCMU), 0, 0xFF, 0},
		{mustCodec(t, codecPCMU), 32767, 0x80, 32124},
		{mustCodec(t, codecPCMU), -32768, 0x00, -32124},
		{mustCodec(t, codecPCMU), 132, 0xEF, 132},
	}
	for _, test := range tests {
		if got := test.codec.encode(test.sample); got != test.code {
			t.Errorf("%s of %d is %#x, want %#x", test.codec.name, test.sample, got, test.code)
		}
		if got := test.codec.decode(test.code); got != test.back {
			t.Errorf("%s %#x is %d, want %d", test.codec.name, test.code, got, test.back)
		}
	}
	for _, name := range []string{codecPCMA, codecPCMU} {
		c, worst := mustCodec(t, name), 0
		for code := range 256 {
			if again := c.encode(c.decode(byte(code))); again != byte(code) && c.decode(again) != c.decode(byte(code)) {
				t.Errorf("%s: %#x becomes %#x", name, code, again)
			}
		}
		for sample := -32768; sample <= 32767; sample++ {
			diff := int(c.decode(c.encode(int16(sample)))) - sample
			if diff < 0 {
				diff = -diff
			}
			size := max(sample, -sample)
			if diff > 16+size/16 {
				worst = max(worst, diff)
			}
		}
		if worst > 0 {
			t.Errorf("%s is off by up to %d", name, worst)
		}
	}
}

func mustCodec(t *testing.T, name string) codec {
	t.Helper()
	c, ok := codecByName(name)
	if !ok {
		t.Fatalf("no codec %s", name)
	}
	return c
}

func TestNumbersFindTheirScript(t *testing.T) {
	t.Parallel()
	tests := []struct{ user, want string }{
		{"100", "100"},
		{"0100", "100"},
		{"+49100", "100"},
		{"0049100", "100"},
		{"+49 (30) 901-820.108", "108"},
		{"+49304", "304"},
		{"+4912", ""},
		{"012", ""},
		{"", ""},
		{"10+0", ""},
		{"echo", ""},
		{"100x", ""},
	}
	for _, test := range tests {
		if got := lastDigits(test.user); got != test.want {
			t.Errorf("%q has the digits %q, want %q", test.user, got, test.want)
		}
	}
}

// The example of RFC 7616 3.9.1.
func TestDigestComputesTheExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	header := `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=%, ` +
		`nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", ` +
		`qop=auth, response="x", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		cred, ok := parseCredentials(strings.Replace(header, "%", algorithm, 1))
		if !ok {
			t.Fatal("not parsed")
		}
		if got := cred.response("GET", "Circle of Life"); got != want {
			t.Errorf("%s gives %s, want %s", algorithm, got, want)
		}
	}
}

func TestCredentialsAreReadWithAllTheirQuotes(t *testing.T) {
	t.Parallel()
	got, ok := parseCredentials(`digest  Username = "a \"b\", c" ,realm=x,,nc=00000001`)
	if diff := cmp.Diff(credentials{"username": `a "b", c`, "realm": "x", "nc": "00000001"}, got); diff != "" || !ok {
		t.Error(diff, ok)
	}
	for _, bad := range []string{"", "Basic abc", `Digest realm="open`, `Digest realm`, `Digest realm="\`} {
		if got, ok := parseCredentials(bad); ok {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add(`Digest username="a", realm="b", nonce="c.d.e", uri="sip:x", response="f", qop=auth, nc=00000001`)
	f.Add(`Digest realm="\"`)
	guard := newChallenger(Config{Realm: "b", Algorithm: "MD5,SHA-256", NonceLifetime: time.Minute})
	f.Fuzz(func(t *testing.T, header string) {
		v, _ := guard.check(header, "REGISTER", func(string) (string, bool) { return "secret", true }, time.Now())
		if v == valid {
			t.Errorf("%q was let in", header)
		}
	})
}

func FuzzSDP(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n")
	f.Add("v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 96 0\r\na=rtpmap:96 PCMU/8000/1\r\na=inactive\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := readSDP([]byte(body), []string{codecPCMA, codecPCMU})
		if err != nil {
			return
		}
		if !r.addr.IsValid() || r.codec.name == "" || r.addr.Port() == 0 {
			t.Fatalf("%+v was accepted", r)
		}
		l := localMedia{addr: r.addr, codecs: []codec{r.codec}, dtmf: r.dtmf, ptime: 20, streams: r.streams, audio: r.audio, direction: answerDirection(r.direction, sendrecv)}
		if _, err := readSDP(l.write(), []string{r.codec.name}); err != nil {
			t.Errorf("our answer cannot be read: %v\n%s", err, l.write())
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\r\n\r\nOPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabcOPTIONS sip:a SIP/2.0\r\nl:0\r\n\r\n"))
	f.Add([]byte("\r\nX\r\nContent-Length: -1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(data), 16)
		for {
			message, err := readMessage(r)
			if err != nil {
				return
			}
			if len(message) > maxHead+maxBody {
				t.Fatalf("a message of %d bytes", len(message))
			}
		}
	})
}

func TestMessagesAreCutOutOfAStream(t *testing.T) {
	t.Parallel()
	long := "X: " + strings.Repeat("y", 5000) + "\r\n"
	r := bufio.NewReader(strings.NewReader("\r\nA\r\n" + long + "Content-Length: 2\r\n\r\nhi\r\n\r\nB\r\nl: 0\r\n\r\n"))
	for i, want := range []string{"A\r\n" + long + "Content-Length: 2\r\n\r\nhi", "", "B\r\nl: 0\r\n\r\n"} {
		got, err := readMessage(r)
		if err != nil || string(got) != want {
			t.Errorf("message %d is %q, %v", i, got, err)
		}
	}
	if _, err := readMessage(r); !errors.Is(err, io.EOF) {
		t.Errorf("end is %v", err)
	}
	for _, bad := range []string{"A\r\n\r\n", "A\r\nContent-Length: x\r\n\r\n", "A\r\nContent-Length: 99999\r\n\r\n", strings.Repeat("z", 40000)} {
		if _, err := readMessage(bufio.NewReader(strings.NewReader(bad))); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%.20q gives %v", bad, err)
		}
	}
}

func TestTheReceiverSurvivesWrapsJumpsAndNewStreams(t *testing.T) {
	t.Parallel()
	var r receiver
	now := time.Unix(1000, 0)
	packet := func(ssrc uint32, seq uint16, ts uint32) {
		now = now.Add(20 * time.Millisecond)
		r.count(now, arrival{ssrc: ssrc, sequence: seq, timestamp: ts, samples: 160})
	}
	for i := range 10 { // across the wrap of both counters
		packet(1, uint16(65531+i), uint32(4294967296-5*160+160*i))
	}
	if r.stats.Received != 10 || r.stats.Lost != 0 || r.stats.TimestampJumps != 0 || r.stats.Jitter > time.Millisecond {
		t.Errorf("after the wrap: %+v", r.stats)
	}
	packet(1, 30000, 0) // too far to be a hole
	packet(1, 30001, 160)
	packet(2, 7, 0)
	packet(2, 9, 320)
	packet(2, 10, 999)
	if s := r.stats; s.Received != 15 || s.Lost != 1 || s.Streams != 2 || s.TimestampJumps != 1 || s.MaxGap != 20*time.Millisecond {
		t.Errorf("in the end: %+v", s)
	}
}

func TestTheRecorderKeepsTheTimeLine(t *testing.T) {
	t.Parallel()
	r := newRecorder(5 * time.Millisecond) // 40 samples
	plain := func(b byte) int16 { return int16(b) }
	r.write(1, 4294967290, []byte{1, 2, 3, 4}, plain)
	r.write(1, 0, []byte{7, 8}, plain) // two samples late, across the wrap
	r.write(2, 500, []byte{9}, plain)  // another stream goes on at the end
	r.write(2, 499, []byte{5}, plain)  // before its beginning
	r.write(2, 4000000, []byte{6}, plain)
	r.write(2, 4000010, make([]byte, 100), plain)
	want := []int16{1, 2, 3, 4, 0, 0, 7, 8, 9, 6, 0}
	if diff := cmp.Diff(want, r.pcm[:11]); diff != "" {
		t.Error(diff)
	}
	if len(r.pcm) != 40 || r.length() != 5*time.Millisecond {
		t.Errorf("%d samples were kept", len(r.pcm))
	}
	none := newRecorder(-1)
	none.write(1, 0, []byte{1}, plain)
	if len(none.pcm) != 0 {
		t.Error("a recorder without room kept something")
	}
}

func TestDirectionsAreAnswered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ theirs, ours, want string }{
		{sendrecv, sendrecv, sendrecv},
		{sendonly, sendrecv, recvonly},
		{recvonly, sendrecv, sendonly},
		{inactive, sendrecv, inactive},
		{recvonly, sendonly, sendonly},
		{sendrecv, sendonly, sendonly},
		{sendonly, sendonly, inactive},
	} {
		if got := answerDirection(test.theirs, test.ours); got != test.want {
			t.Errorf("%s to %s is %s, want %s", test.theirs, test.ours, got, test.want)
		}
	}
}
