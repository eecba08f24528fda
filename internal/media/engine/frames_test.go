package engine

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// recorder writes down what a frameReader finds; pieces of one binary message are joined.
type recorder struct {
	got   []string
	audio []byte
}

func (r *recorder) flush() {
	if r.audio != nil {
		r.got = append(r.got, "binary "+string(r.audio))
		r.audio = nil
	}
}
func (r *recorder) binary(p []byte) { r.audio = append(append(r.audio, []byte{}...), p...) }
func (r *recorder) text(p []byte)   { r.flush(); r.got = append(r.got, "text "+string(p)) }
func (r *recorder) ping(p []byte)   { r.got = append(r.got, "ping "+string(p)) }
func (r *recorder) pong(p []byte)   { r.got = append(r.got, "pong "+string(p)) }
func (r *recorder) closed(code ws.StatusCode, reason []byte) {
	r.flush()
	r.got = append(r.got, fmt.Sprintf("close %d %s", code, reason))
}

// readFrame reads a frame of a server.
func readFrame(from io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(from)
	if err != nil {
		return ws.Frame{}, err
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(from, f.Payload)
	return f, err
}

var testMask = [4]byte{0x12, 0x34, 0x56, 0x78}

// frame is one masked frame as a client sends it.
func frame(op ws.OpCode, fin bool, payload string) []byte {
	f := ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), testMask)
	return ws.MustCompileFrame(f)
}

// raw is a frame whose header is as given, masked.
func raw(h ws.Header, payload string) []byte {
	h.Masked, h.Mask = true, testMask
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	p := []byte(payload)
	ws.Cipher(p, testMask, 0)
	return append(b.Bytes(), p...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var frameCases = []struct {
	name  string
	input []byte
	want  []string
	code  ws.StatusCode // of the violation, 0 = none
}{
	{"a text in one frame", frame(ws.OpText, true, "hello"), []string{"text hello"}, 0},
	{"an empty text", frame(ws.OpText, true, ""), []string{"text "}, 0},
	{"an empty binary message carries nothing", frame(ws.OpBinary, true, ""), nil, 0},
	{"a binary message of 125 bytes", frame(ws.OpBinary, true, strings.Repeat("a", 125)), []string{"binary " + strings.Repeat("a", 125)}, 0},
	{"a binary message of 126 bytes", frame(ws.OpBinary, true, strings.Repeat("a", 126)), []string{"binary " + strings.Repeat("a", 126)}, 0},
	{"a binary message of 65535 bytes", frame(ws.OpBinary, true, strings.Repeat("b", 65535)), []string{"binary " + strings.Repeat("b", 65535)}, 0},
	{"a binary message of 65536 bytes", frame(ws.OpBinary, true, strings.Repeat("c", 65536)), []string{"binary " + strings.Repeat("c", 65536)}, 0},
	{
		"a text in three fragments",
		join(frame(ws.OpText, false, "a"), frame(ws.OpContinuation, false, ""), frame(ws.OpContinuation, true, "b")),
		[]string{"text ab"},
		0,
	},
	{
		"an audio message in fragments",
		join(frame(ws.OpBinary, false, "ab"), frame(ws.OpContinuation, false, "cd"), frame(ws.OpContinuation, true, "ef")),
		[]string{"binary abcdef"},
		0,
	},
	{
		"control frames between the fragments of a text",
		join(frame(ws.OpText, false, "a"), frame(ws.OpPing, true, "p"), frame(ws.OpContinuation, false, "b"), frame(ws.OpPong, true, "q"), frame(ws.OpContinuation, true, "c")),
		[]string{"ping p", "pong q", "text abc"},
		0,
	},
	{
		"a text after a fragmented text begins anew",
		join(frame(ws.OpText, false, "a"), frame(ws.OpContinuation, true, "b"), frame(ws.OpText, true, "c")),
		[]string{"text ab", "text c"},
		0,
	},
	{"a ping of 125 bytes", frame(ws.OpPing, true, strings.Repeat("x", 125)), []string{"ping " + strings.Repeat("x", 125)}, 0},
	{"a ping of 126 bytes is refused", raw(ws.Header{Fin: true, OpCode: ws.OpPing, Length: 126}, strings.Repeat("x", 126)), nil, 1002},
	{"a fragmented ping is refused", frame(ws.OpPing, false, "x"), nil, 1002},
	{"reserved bits are refused", raw(ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpText, Length: 1}, "x"), nil, 1002},
	{"reserved bits of a ping are refused", raw(ws.Header{Fin: true, Rsv: 1, OpCode: ws.OpPing, Length: 1}, "x"), nil, 1002},
	{"a reserved data opcode is refused", raw(ws.Header{Fin: true, OpCode: 3, Length: 1}, "x"), nil, 1002},
	{"a reserved control opcode is refused", raw(ws.Header{Fin: true, OpCode: 11, Length: 1}, "x"), nil, 1002},
	{"an unmasked frame is refused", ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), nil, 1002},
	{"a continuation of nothing is refused", frame(ws.OpContinuation, true, "x"), nil, 1002},
	{"a continuation after the end is refused", join(frame(ws.OpText, true, "a"), frame(ws.OpContinuation, true, "x")), []string{"text a"}, 1002},
	{"a new message inside a fragmented one is refused", join(frame(ws.OpText, false, "a"), frame(ws.OpText, true, "b")), nil, 1002},
	{"a length with the highest bit is refused", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, nil, 1002},
	{"text that is not UTF-8 is refused", frame(ws.OpText, true, "a\xff"), nil, 1007},
	{"a character cut in two by fragments is whole", join(frame(ws.OpText, false, "\xc3"), frame(ws.OpContinuation, true, "\xbc")), []string{"text ü"}, 0},
	{"a character that never ends is refused", join(frame(ws.OpText, false, "\xc3"), frame(ws.OpContinuation, true, "")), nil, 1007},
	{"a surrogate is not UTF-8", frame(ws.OpText, true, "\xed\xa0\x80"), nil, 1007},
	{"a text at the limit", frame(ws.OpText, true, strings.Repeat("t", 300)), []string{"text " + strings.Repeat("t", 300)}, 0},
	{"a text over the limit is refused", frame(ws.OpText, true, strings.Repeat("t", 301)), nil, 1009},
	{"fragments over the limit together are refused", join(frame(ws.OpText, false, strings.Repeat("t", 300)), frame(ws.OpContinuation, true, "t")), nil, 1009},
	{"binary messages have no limit", frame(ws.OpBinary, true, strings.Repeat("t", 3000)), []string{"binary " + strings.Repeat("t", 3000)}, 0},
	{"a close without code", frame(ws.OpClose, true, ""), []string{"close 0 "}, 0},
	{"a close with code and reason", frame(ws.OpClose, true, "\x03\xe8bye"), []string{"close 1000 bye"}, 0},
	{"nothing counts after a close", join(frame(ws.OpClose, true, "\x03\xe8"), frame(ws.OpText, true, "late")), []string{"close 1000 "}, 0},
	{"a close of one byte is refused", frame(ws.OpClose, true, "\x03"), nil, 1002},
	{"a close reason that is not UTF-8 is refused", frame(ws.OpClose, true, "\x03\xe8\xff"), nil, 1007},
}

func TestFramesAreReadAsRFC6455Says(t *testing.T) {
	for _, c := range frameCases {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 7, 64, len(c.input)} {
				r := &recorder{}
				got := feedIn(r, c.input, step)
				r.flush()
				if diff := cmp.Diff(c.want, r.got); diff != "" {
					t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
				}
				if got != c.code {
					t.Errorf("in steps of %d: close code %d, want %d", step, got, c.code)
				}
			}
		})
	}
}

// feedIn feeds a copy of input in steps and returns the close code of the violation.
func feedIn(h frameHandler, input []byte, step int) ws.StatusCode {
	f := frameReader{handler: h, maxText: 300}
	var code ws.StatusCode
	for rest := bytes.Clone(input); len(rest) > 0; {
		n := min(max(step, 1), len(rest))
		if bad := f.feed(rest[:n]); bad != nil {
			code = bad.code
		}
		rest = rest[n:]
	}
	return code
}

func TestOnlyCloseCodesThatMayBeSentAreAccepted(t *testing.T) {
	valid := []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}
	invalid := []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}
	for _, code := range append(valid, invalid...) {
		payload := string([]byte{byte(code >> 8), byte(code)})
		want := []string{fmt.Sprintf("close %d ", code)}
		var wantCode ws.StatusCode
		for _, bad := range invalid {
			if code == bad {
				want, wantCode = nil, 1002
			}
		}
		r := &recorder{}
		got := feedIn(r, frame(ws.OpClose, true, payload), 100)
		if got != wantCode || !cmp.Equal(r.got, want) {
			t.Errorf("close %d: got %v and code %d, want %v and %d", code, r.got, got, want, wantCode)
		}
	}
}

func TestReadingAudioFramesAllocatesNothing(t *testing.T) {
	f := frameReader{handler: &discard{}, maxText: 300}
	input := join(frame(ws.OpBinary, true, strings.Repeat("a", 640)), frame(ws.OpPing, true, "x"))
	buf := make([]byte, len(input))
	allocs := testing.AllocsPerRun(100, func() {
		copy(buf, input)
		if bad := f.feed(buf); bad != nil {
			t.Fatal(bad)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per frame, want 0", allocs)
	}
}

type discard struct{ n int }

func (d *discard) binary(p []byte)              { d.n += len(p) }
func (d *discard) text(p []byte)                { d.n += len(p) }
func (d *discard) ping(p []byte)                { d.n += len(p) }
func (d *discard) pong(p []byte)                { d.n += len(p) }
func (d *discard) closed(ws.StatusCode, []byte) {}

func TestOwnFramesAreReadBackByAnotherImplementation(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		b := append(appendHeader(nil, ws.OpBinary, n), make([]byte, n)...)
		f, err := readFrame(bytes.NewReader(b))
		if err != nil || !f.Header.Fin || f.Header.Masked || f.Header.OpCode != ws.OpBinary || len(f.Payload) != n {
			t.Errorf("%d bytes: header %+v, error %v", n, f.Header, err)
		}
	}
	long := strings.Repeat("ü", 100)
	f, err := readFrame(bytes.NewReader(appendClose(nil, 1011, long)))
	if err != nil {
		t.Fatal(err)
	}
	code, reason := ws.ParseCloseFrameData(f.Payload)
	if code != 1011 || reason != long[:122] {
		t.Errorf("close frame with a long reason reads as %d %q", code, reason)
	}
}

func FuzzFrameReader(f *testing.F) {
	for _, c := range frameCases {
		if len(c.input) < 1000 {
			f.Add(c.input, 3)
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, step int) {
		whole, parts := &recorder{}, &recorder{}
		a := feedIn(whole, input, len(input))
		b := feedIn(parts, input, step%64)
		whole.flush()
		parts.flush()
		if a != b || !cmp.Equal(whole.got, parts.got) {
			t.Errorf("whole: %v %d, in steps of %d: %v %d", whole.got, a, step, parts.got, b)
		}
	})
}
