package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	ping = "\r\n\r\n" // RFC 5626 section 3.5.1
	pong = "\r\n"
)

var errFraming = errors.New("cannot find the end of a message in the stream")

type frameKind uint8

const (
	frameNone    frameKind = iota // more bytes are needed
	frameMessage                  // one whole message
	framePing
	framePong
)

// framer cuts a stream into messages. "The Content-Length header field value is
// used to locate the end of each SIP message in a stream" (RFC 3261 section
// 18.3).
type framer struct {
	max      int
	buf      []byte
	searched int // bytes of buf known not to hold the end of the headers
	length   int // of the whole message at the front of buf; 0: unknown
}

// write adds bytes of the stream.
func (f *framer) write(p []byte) { f.buf = append(f.buf, p...) }

// next returns the frame at the front. Its bytes are valid until write is
// called. After an error the stream cannot be used any more.
func (f *framer) next() (frameKind, []byte, error) {
	switch {
	case f.length == 0 && bytes.HasPrefix(f.buf, []byte(ping)):
		f.consume(len(ping))
		return framePing, nil, nil
	case f.length == 0 && bytes.HasPrefix(f.buf, []byte(pong)):
		f.consume(len(pong))
		return framePong, nil, nil
	}
	if f.length == 0 {
		if err := f.measure(); err != nil {
			return frameNone, nil, err
		}
	}
	if f.length == 0 || len(f.buf) < f.length {
		return frameNone, nil, nil
	}
	msg := f.buf[:f.length]
	f.consume(f.length)
	return frameMessage, msg, nil
}

func (f *framer) consume(n int) {
	f.buf = f.buf[n:]
	f.searched, f.length = 0, 0
	if len(f.buf) == 0 {
		f.buf = nil
	}
}

// measure finds the length of the message at the front, if its headers are
// complete.
func (f *framer) measure() error {
	at := bytes.Index(f.buf[f.searched:], []byte("\r\n\r\n"))
	if at < 0 {
		if len(f.buf) > f.max {
			return fmt.Errorf("%w: headers are longer than %d bytes", errFraming, f.max)
		}
		f.searched = max(0, len(f.buf)-3)
		return nil
	}
	head := f.searched + at
	body, err := contentLength(f.buf[:head])
	if err != nil {
		return err
	}
	if body > f.max-head-4 {
		return fmt.Errorf("%w: longer than %d bytes", errFraming, f.max)
	}
	f.length = head + 4 + body
	return nil
}

// contentLength reads the one Content-Length out of a header block.
func contentLength(head []byte) (int, error) {
	found := -1
	// A line that begins with a space continues the one before it.
	text := strings.NewReplacer("\r\n ", "  ", "\r\n\t", "  ").Replace(string(head))
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || (!strings.EqualFold(name, "content-length") && !strings.EqualFold(name, "l")) {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil || (found >= 0 && found != int(n)) {
			return 0, fmt.Errorf("%w: Content-Length is not one number", errFraming)
		}
		found = int(n)
	}
	if found < 0 {
		return 0, fmt.Errorf("%w: no Content-Length", errFraming)
	}
	return found, nil
}
