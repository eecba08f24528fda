package transport

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const options = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n"

// frames feeds a stream in pieces of n bytes.
func frames(stream string, n, limit int) (out []string, err error) {
	f := framer{max: limit}
	for len(stream) > 0 {
		k := min(n, len(stream))
		f.write([]byte(stream[:k]))
		stream = stream[k:]
		for {
			kind, msg, err := f.next()
			if err != nil {
				return out, err
			}
			if kind == frameNone {
				break
			}
			out = append(out, fmt.Sprint(kind, " ", string(msg)))
		}
	}
	return out, nil
}

func TestAStreamIsCutIntoMessagesWhereverItIsSplit_RFC3261_18_3(t *testing.T) {
	one := options + "Content-Length: 4\r\n\r\nbody"
	two := options + "l : 0\r\n\r\n"
	folded := options + "Content-Length:\r\n 2\r\n\r\nxy"
	msg := func(s string) string { return fmt.Sprint(frameMessage, " ", s) }
	ping, pong := fmt.Sprint(framePing, " "), fmt.Sprint(framePong, " ")
	cases := []struct {
		name, stream string
		want         []string
	}{
		{"one message", one, []string{msg(one)}},
		{"three at once", one + two + one, []string{msg(one), msg(two), msg(one)}},
		{"a body that looks like a message", options + "Content-Length: 9\r\n\r\nBYE a\r\n\r\n", []string{msg(options + "Content-Length: 9\r\n\r\nBYE a\r\n\r\n")}},
		{"a folded Content-Length", folded + two, []string{msg(folded), msg(two)}},
		{"a pong between messages", one + "\r\n" + two, []string{msg(one), pong, msg(two)}},
		{"an unfinished message", one + two[:20], []string{msg(one)}},
		{"a repeated Content-Length that agrees", options + "l: 0\r\nContent-Length: 0\r\n\r\n", []string{msg(options + "l: 0\r\nContent-Length: 0\r\n\r\n")}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 7, 100, 10000} {
				got, err := frames(tt.stream, n, 65535)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", n, d)
				}
			}
		})
	}
	got, err := frames("\r\n\r\n"+two, 1000, 65535)
	if d := cmp.Diff([]string{ping, msg(two)}, got); d != "" || err != nil {
		t.Errorf("a ping (-want +got):\n%s%v", d, err)
	}
}

func TestAStreamWithoutRecognisableEndsIsGivenUp(t *testing.T) {
	cases := map[string]string{
		"no Content-Length (RFC 3261 18.3)": options + "\r\n",
		"a Content-Length that is negative": options + "Content-Length: -1\r\n\r\n",
		"a Content-Length that is a word":   options + "Content-Length: many\r\n\r\n",
		"two that differ":                   options + "Content-Length: 1\r\nl: 2\r\n\r\n",
		"a body over the limit":             options + "Content-Length: 5000\r\n\r\n",
		"a huge body":                       options + "Content-Length: 99999999999\r\n\r\n",
		"headers without end":               options + strings.Repeat("X: y\r\n", 1000),
	}
	for name, stream := range cases {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 100, 100000} {
				if got, err := frames(stream, n, 4096); !errors.Is(err, errFraming) {
					t.Errorf("in pieces of %d: got %q, %v, want an error", n, got, err)
				}
			}
		})
	}
}

func FuzzTheFramer(f *testing.F) {
	f.Add([]byte(options+"Content-Length: 4\r\n\r\nbody\r\n\r\n"+options+"l:0\r\n\r\n"), 3)
	f.Add([]byte("\r\n\r\n\r\n"), 1)
	f.Add([]byte("l:\r\n\t5\r\n\r\nabcde"), 2)
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		if n < 1 || n > 1<<16 || len(stream) > 1<<16 {
			t.Skip()
		}
		const limit = 2048
		whole, werr := frames(string(stream), len(stream)+1, limit)
		parts, perr := frames(string(stream), n, limit)
		// The border between a ping and two pongs is where the pieces are;
		// messages have to be the same.
		keep := func(all []string) (out []string) {
			for _, s := range all {
				if strings.HasPrefix(s, fmt.Sprint(frameMessage)) {
					if len(s) > limit+10 {
						t.Errorf("frame of %d bytes, limit %d", len(s), limit)
					}
					out = append(out, s)
				}
			}
			return out
		}
		if d := cmp.Diff(keep(whole), keep(parts)); d != "" && (werr == nil) == (perr == nil) {
			t.Errorf("in pieces of %d (-whole +pieces):\n%s", n, d)
		}
	})
}
