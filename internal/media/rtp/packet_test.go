package rtp

import (
	"bytes"
	"errors"
	"testing"

	pion "github.com/pion/rtp"
)

func TestAWrittenHeaderIsReadBackTheSame(t *testing.T) {
	for _, h := range []Header{
		{},
		{Marker: true, PayloadType: 127, Sequence: 65535, Timestamp: 1<<32 - 1, SSRC: 1<<32 - 1},
		{PayloadType: 8, Sequence: 258, Timestamp: 0x01020304, SSRC: 0x05060708},
	} {
		packet := append(make([]byte, HeaderSize), 1, 2, 3)
		h.Put(packet)
		got, payload, err := Parse(packet)
		if err != nil || got != h || !bytes.Equal(payload, []byte{1, 2, 3}) {
			t.Errorf("Parse(Put(%+v)) = %+v, %v, %v", h, got, payload, err)
		}
		var p pion.Packet
		if err := p.Unmarshal(packet); err != nil {
			t.Fatal(err)
		}
		if p.Marker != h.Marker || p.PayloadType != h.PayloadType || p.SequenceNumber != h.Sequence ||
			p.Timestamp != h.Timestamp || p.SSRC != h.SSRC {
			t.Errorf("another implementation reads %v from %+v", p, h)
		}
	}
}

func TestParseLeavesOutWhatIsNotPayload(t *testing.T) {
	fixed := []byte{0x80, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}
	with := func(first byte, rest ...byte) []byte {
		p := append(bytes.Clone(fixed), rest...)
		p[0] = first
		return p
	}
	for _, c := range []struct {
		name   string
		packet []byte
		want   []byte
		err    error
	}{
		{"a plain packet", with(0x80, 7, 8), []byte{7, 8}, nil},
		{"no payload at all", with(0x80), []byte{}, nil},
		{"two contributing sources", with(0x82, 0, 0, 0, 1, 0, 0, 0, 2, 7), []byte{7}, nil},
		{"a header extension of one word", with(0x90, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 7), []byte{7}, nil},
		{"padding of three bytes", with(0xA0, 7, 8, 0, 0, 3), []byte{7, 8}, nil},
		{"padding only", with(0xA0, 0, 2), []byte{}, nil},
		{"padding longer than the packet", with(0xA0, 7, 9), nil, ErrMalformed},
		{"padding of zero", with(0xA0, 7, 0), nil, ErrMalformed},
		{"padding flag without a byte", with(0xA0), nil, ErrMalformed},
		{"extension cut off", with(0x90, 0xBE), nil, ErrMalformed},
		{"extension longer than the packet", with(0x90, 0xBE, 0xDE, 255, 255, 1), nil, ErrMalformed},
		{"contributing sources cut off", with(0x8F, 1, 2, 3), nil, ErrMalformed},
		{"version 1", with(0x40, 7), nil, ErrMalformed},
		{"eleven bytes", fixed[:11], nil, ErrMalformed},
		{"nothing", nil, nil, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got, err := Parse(c.packet)
			if !errors.Is(err, c.err) || !bytes.Equal(got, c.want) {
				t.Errorf("Parse = %v, %v; want %v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestForeignPacketsAreToldApart(t *testing.T) {
	long := func(b ...byte) []byte { return append(b, make([]byte, 40)...) }
	for _, c := range []struct {
		name   string
		packet []byte
		want   Kind
	}{
		{"audio", long(0x80, 8), RTP},
		{"audio with marker bit", long(0x80, 0x88), RTP},
		{"sender report", long(0x80, 200), RTCP},
		{"short receiver report", []byte{0x80, 201, 0, 1, 0, 0, 0, 1}, RTCP},
		{"binding request", long(0, 1), STUN},
		{"client hello", long(22, 0xFE), DTLS},
		{"line feeds of a keep-alive", []byte("\r\n\r\n"), Short},
		{"a header cut off", []byte{0x80, 8, 0, 1, 0, 0, 0, 1, 0}, Short},
		{"nothing", nil, Short},
		{"a SIP message", []byte("OPTIONS sip:a SIP/2.0\r\n"), Foreign},
	} {
		if got := Classify(c.packet); got != c.want {
			t.Errorf("%s: Classify = %d, want %d", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x80, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xD5})
	f.Add([]byte{0x90, 0x88, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 7})
	f.Add([]byte{0xBF, 101, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		kind := Classify(data)
		h, payload, err := Parse(data)
		if err != nil {
			return
		}
		if kind != RTP && kind != RTCP {
			t.Fatalf("parsed a packet of kind %d", kind)
		}
		again := append(make([]byte, HeaderSize), payload...)
		h.Put(again)
		h2, payload2, err := Parse(again)
		if err != nil || h2 != h || !bytes.Equal(payload2, payload) {
			t.Fatalf("%+v %v became %+v %v %v", h, payload, h2, payload2, err)
		}
	})
}

func TestParseAndPutAllocateNothing(t *testing.T) {
	packet := make([]byte, 172)
	packet[0] = 0x80
	if n := testing.AllocsPerRun(100, func() {
		h, _, err := Parse(packet)
		if err != nil {
			t.Fatal(err)
		}
		h.Put(packet)
	}); n != 0 {
		t.Errorf("%v allocations per packet, want 0", n)
	}
}
