//go:build linux

package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func closeFD(fd int) { _ = unix.Close(fd) }

func connectFD(t *testing.T, fd int, port uint16) {
	t.Helper()
	if err := unix.Connect(fd, loopback(port)); err != nil {
		t.Fatal(err)
	}
}

func TestFramesKeepTheirNumbersThroughALawAndAnyShift(t *testing.T) {
	for _, name := range []string{"pcm16", "alaw"} {
		c := newCodec(name)
		var stream []byte
		const frames = 5 * stamps
		for k := range uint32(frames) {
			stream = append(stream, c.frame(levelOf(k))...)
		}
		size := c.frameBytes()
		for shift := 0; shift < size; shift += 6 {
			var r row
			got := 0
			for k := range frames - 1 {
				p := stream[k*size+shift:][:size]
				frame, verdict := r.take(c.read(p), uint32(k+2))
				if verdict != fresh {
					t.Fatalf("%s shifted by %d bytes: frame %d is judged %d", name, shift, k, verdict)
				}
				if d := int(frame) - k; d < 0 || d > 1 {
					t.Fatalf("%s shifted by %d bytes: frame %d is taken for %d", name, shift, k, frame)
				}
				got++
			}
			if int(r.next) < got {
				t.Errorf("%s shifted by %d bytes: %d numbers for %d frames", name, shift, r.next, got)
			}
		}
	}
}

func TestARowTellsWhatHappenedToItsFrames(t *testing.T) {
	c := newCodec("alaw")
	frame := func(k uint32) []byte { return c.frame(levelOf(k)) }
	quiet := slices.Repeat([]byte{0xd5}, phoneFrame)
	type seen struct {
		Frame   uint32
		Verdict verdict
	}
	for name, test := range map[string]struct {
		stream [][]byte
		want   []seen
	}{
		"in order":        {[][]byte{frame(0), frame(1), frame(2)}, []seen{{0, fresh}, {1, fresh}, {2, fresh}}},
		"first ones lost": {[][]byte{frame(3), frame(4)}, []seen{{3, fresh}, {4, fresh}}},
		"some are lost":   {[][]byte{frame(0), frame(4)}, []seen{{0, fresh}, {4, fresh}}},
		"one comes twice": {[][]byte{frame(0), frame(0), frame(1)}, []seen{{0, fresh}, {0, repeated}, {1, fresh}}},
		"a pause":         {[][]byte{frame(0), quiet, frame(1)}, []seen{{0, fresh}, {0, nothing}, {1, fresh}}},
		"an old one":      {[][]byte{frame(0), frame(10), frame(20), frame(19)}, []seen{{0, fresh}, {10, fresh}, {20, fresh}, {19, repeated}}},
		"a new beginning": {[][]byte{frame(0), frame(10), frame(21), frame(16)}, []seen{{0, fresh}, {10, fresh}, {21, fresh}, {16, fresh}}},
	} {
		var r row
		var got []seen
		for i, p := range test.stream {
			k, v := r.take(c.read(p), 22+uint32(i))
			got = append(got, seen{k, v})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strayed := r.astray > 0; strayed != (name == "a new beginning") {
			t.Errorf("%s: lost track %d times", name, r.astray)
		}
	}
	if is := c.read(quiet); !is.silent {
		t.Error("silence is not read as silence")
	}
}

func TestLevelsGoRoundInSmallSteps(t *testing.T) {
	for k := range uint32(stamps) {
		level := levelOf(k)
		if stampOf(level) != int(k) {
			t.Errorf("frame %d has level %d, and that is read as %d", k, level, stampOf(level))
		}
		if step := level - levelOf(k+1); max(step, -step) > 2 {
			t.Errorf("from frame %d to the next are %d levels", k, step)
		}
	}
}

func TestPercentilesOfKnownTimes(t *testing.T) {
	h := newHistogram()
	for us := range int64(1000) {
		h.add(-us * 1000)
	}
	h.add(3e9)
	want := Percentiles{P50: 0.501, P99: 0.991, P999: 1, Max: 3000}
	if diff := cmp.Diff(want, h.percentiles()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Spread{2.5, 1, 4}, spread([]float64{4, 1, 3, 2})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Spread{}, spread(nil)); diff != "" {
		t.Error(diff)
	}
}

func TestMessagesAreFoundHoweverTheyAreCut(t *testing.T) {
	stream := slices.Concat([]byte{0x82, 3}, []byte("abc"), []byte{0x81, 16}, []byte(`{"type":"error"}`),
		[]byte{0x82, 126, 1, 0}, slices.Repeat([]byte("x"), 256), []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2}, []byte("yz"), []byte{0x88, 0})
	for cut := range stream {
		var got []int
		l := &link{fd: -1, on: func(p []byte, _ int64) { got = append(got, len(p)) }}
		used := l.parse(stream[:cut], 0)
		if l.parse(stream[used:], 0)+used != len(stream) {
			t.Fatalf("cut at %d: not everything was taken", cut)
		}
		if diff := cmp.Diff([]int{3, 256, 2}, got); diff != "" || !l.closed || l.errors != 1 {
			t.Fatalf("cut at %d: %s closed %t, errors %d", cut, diff, l.closed, l.errors)
		}
	}
}

func FuzzMessagesOfTheGateway(f *testing.F) {
	f.Add([]byte{0x82, 3, 'a', 'b', 'c'})
	f.Add([]byte{0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, p []byte) {
		l := &link{fd: -1}
		if used := l.parse(p, 0); used > len(p) {
			t.Errorf("took %d of %d bytes", used, len(p))
		}
	})
}

func FuzzMessagesOfSIP(f *testing.F) {
	f.Add("INVITE sip:500001@h SIP/2.0\r\nv: SIP/2.0/UDP h;rport\r\nf: <sip:a@h>;tag=1\r\nm: <sip:a@h>\r\n\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n")
	f.Fuzz(func(_ *testing.T, text string) {
		m, err := parseSIP(text)
		if err == nil {
			_, _ = mediaOf(m.body)
			_ = m.answer("200 OK", netip.AddrPort{}, "t", "")
		}
	})
}

func TestAResponseNamesWhatTheRequestNamed(t *testing.T) {
	m, err := parseSIP(strings.ReplaceAll(`BYE sip:x@h SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport
v: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2;rport
f: <sip:a@h>;tag=1
t: <sip:b@h>
i: abc
CSeq: 2 BYE

`, "\n", "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`SIP/2.0 200 OK
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport=5060;received=127.0.0.1
Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2;rport
From: <sip:a@h>;tag=1
To: <sip:b@h>;tag=t
Call-ID: abc
CSeq: 2 BYE
Content-Length: 0

`, "\n", "\r\n")
	got := string(m.answer("200 OK", netip.MustParseAddrPort("127.0.0.1:5060"), "t", ""))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheAddressForRTPComesFromTheDescription(t *testing.T) {
	for sdp, want := range map[string]string{
		"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\n": "127.0.0.1:4000",
		"v=0\r\nm=audio 4000 RTP/AVP 8\r\nc=IN IP4 127.0.0.2\r\n": "127.0.0.2:4000",
		"v=0\r\nm=audio 4000 RTP/AVP 8\r\n":                       "",
		"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio x RTP/AVP 8\r\n":    "",
		"": "",
	} {
		got, err := mediaOf(sdp)
		if err != nil != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: got %v, %v; want %q", sdp, got, err, want)
		}
	}
}
