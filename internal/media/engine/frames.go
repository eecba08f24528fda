package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxControl is the largest payload of a control frame.
//
// "All control frames MUST have a payload length of 125 bytes or less and MUST NOT
// be fragmented." RFC 6455 section 5.5.
const maxControl = 125

// violation is why a connection is closed, as the close frame tells it: mostly what a client did wrong.
type violation struct {
	code   ws.StatusCode
	reason string
}

func violate(code ws.StatusCode, format string, args ...any) *violation {
	return &violation{code: code, reason: fmt.Sprintf(format, args...)}
}

// frameHandler receives what a frameReader finds, in order. Slices are valid during the call only.
type frameHandler interface {
	// binary is a piece of a binary message, as large or small as it came.
	binary(piece []byte)
	// text is one whole text message, valid UTF-8.
	text(message []byte)
	ping(payload []byte)
	pong(payload []byte)
	// closed is the close frame of the peer; code is 0 when it gave none. Nothing follows it.
	closed(code ws.StatusCode, reason []byte)
}

// frameReader takes the bytes of one client apart as RFC 6455 says. It is fed whatever
// the socket had, keeps what is incomplete, and unmasks in place. Binary messages are
// handed on as they come, so their size costs nothing; texts are collected up to maxText bytes.
type frameReader struct {
	handler frameHandler
	maxText int // bytes of one text message

	raw  [ws.MaxHeaderSize]byte // header bytes so far
	have int
	want int // header bytes needed to know it all; 0 = not known yet

	header  ws.Header // of the frame being read
	inFrame bool
	done    int64 // payload bytes of the frame read so far

	message ws.OpCode // of the fragmented or running message; OpContinuation = none
	partial []byte    // text message so far
	control [maxControl]byte

	ended   bool         // a close frame came or a rule was broken: the rest is ignored
	source  bytes.Reader // over raw, for ws.ReadHeaderBuffer
	scratch [ws.MaxHeaderSize]byte
}

// feed reads data, which it overwrites. After an error or a close frame the
// connection must be closed; what is fed later is ignored.
func (f *frameReader) feed(data []byte) *violation {
	for len(data) > 0 && !f.ended {
		var bad *violation
		if f.inFrame {
			data, bad = f.payload(data)
		} else {
			data, bad = f.head(data)
		}
		if bad != nil {
			f.ended = true
			return bad
		}
	}
	return nil
}

// head collects the header of a frame and returns what of data is left.
func (f *frameReader) head(data []byte) ([]byte, *violation) {
	if f.want == 0 {
		n := copy(f.raw[f.have:2], data)
		f.have += n
		data = data[n:]
		if f.have < 2 {
			return nil, nil
		}
		f.want = headerSize(f.raw[1])
	}
	n := copy(f.raw[f.have:f.want], data)
	f.have += n
	data = data[n:]
	if f.have < f.want {
		return nil, nil
	}
	f.source.Reset(f.raw[:f.want])
	h, err := ws.ReadHeaderBuffer(&f.source, f.scratch[:])
	if err != nil {
		return nil, violate(ws.StatusProtocolError, "%v", err)
	}
	f.have, f.want = 0, 0
	return data, f.begin(h)
}

// headerSize tells from the second byte of a header how long all of it is (RFC 6455 section 5.2).
func headerSize(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// begin checks a header against the rules and the state of the connection.
func (f *frameReader) begin(h ws.Header) *violation {
	state := ws.StateServerSide
	if f.message != ws.OpContinuation {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return violate(ws.StatusProtocolError, "%v", err)
	}
	if h.OpCode == ws.OpText || h.OpCode == ws.OpBinary {
		f.message = h.OpCode
	}
	if !h.OpCode.IsControl() && f.message == ws.OpText && h.Length > int64(f.maxText-len(f.partial)) {
		return violate(ws.StatusMessageTooBig, "a text message may have %d bytes at most", f.maxText)
	}
	f.header, f.done, f.inFrame = h, 0, true
	if h.Length == 0 {
		return f.end(nil)
	}
	return nil
}

// payload takes what belongs to the current frame from data and returns the rest.
func (f *frameReader) payload(data []byte) ([]byte, *violation) {
	n := int(min(int64(len(data)), f.header.Length-f.done))
	piece, rest := data[:n], data[n:]
	ws.Cipher(piece, f.header.Mask, int(f.done&3))
	switch {
	case f.header.OpCode.IsControl():
		copy(f.control[f.done:], piece)
	case f.message == ws.OpBinary:
		f.handler.binary(piece)
	case f.done == 0 && int64(n) == f.header.Length && f.header.Fin && len(f.partial) == 0:
		// The usual text: one frame that came in one piece is not copied.
		f.done += int64(n)
		return rest, f.end(piece)
	default:
		f.partial = append(f.partial, piece...)
	}
	f.done += int64(n)
	if f.done < f.header.Length {
		return rest, nil
	}
	return rest, f.end(nil)
}

// end closes the current frame; whole is the text when it was not collected.
func (f *frameReader) end(whole []byte) *violation {
	f.inFrame = false
	if f.header.OpCode.IsControl() {
		return f.endControl(f.control[:f.header.Length])
	}
	if !f.header.Fin {
		return nil
	}
	kind := f.message
	f.message = ws.OpContinuation
	if kind != ws.OpText {
		return nil
	}
	text := f.partial
	if whole != nil {
		text = whole
	}
	f.partial = f.partial[:0]
	if cap(f.partial) > 4096 {
		f.partial = nil // one large text must not hold memory for the life of the socket
	}
	// "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte
	// stream is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the
	// WebSocket Connection_." RFC 6455 section 8.1.
	if !utf8.Valid(text) {
		return violate(ws.StatusInvalidFramePayloadData, "text is not valid UTF-8")
	}
	f.handler.text(text)
	return nil
}

func (f *frameReader) endControl(payload []byte) *violation {
	switch f.header.OpCode {
	case ws.OpPing:
		f.handler.ping(payload)
	case ws.OpPong:
		f.handler.pong(payload)
	default:
		code, bad := closeCode(payload)
		if bad != nil {
			return bad
		}
		f.ended = true
		f.handler.closed(code, payload[min(2, len(payload)):])
	}
	return nil
}

// closeCode checks the payload of a close frame and returns its code, 0 when it has none.
//
// "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer
// (in network byte order) representing a status code". RFC 6455 section 5.5.1; the codes
// are those of section 7.4.
func closeCode(payload []byte) (ws.StatusCode, *violation) {
	if len(payload) == 0 {
		return 0, nil
	}
	if len(payload) == 1 {
		return 0, violate(ws.StatusProtocolError, "close frame with one byte")
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(payload))
	if !utf8.Valid(payload[2:]) {
		return 0, violate(ws.StatusInvalidFramePayloadData, "close reason is not valid UTF-8")
	}
	// 1016 to 2999 are reserved for the protocol, and nothing above 4999 exists.
	if err := ws.CheckCloseFrameData(code, ""); err != nil || code > 4999 || code > 1014 && code < 3000 {
		return 0, violate(ws.StatusProtocolError, "close code %d is not allowed", code)
	}
	return code, nil
}

// appendHeader appends the header of an unfragmented, unmasked frame, as a server sends it.
func appendHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length <= maxControl:
		return append(dst, byte(length))
	case length <= 0xffff:
		return append(dst, 126, byte(length>>8), byte(length))
	}
	dst = append(dst, 127)
	return binary.BigEndian.AppendUint64(dst, uint64(length))
}

// appendClose appends a close frame; the reason is cut to what fits without breaking a character.
func appendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if code == 0 {
		return appendHeader(dst, ws.OpClose, 0)
	}
	if len(reason) > maxControl-2 {
		end := maxControl - 2
		for end > 0 && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	dst = appendHeader(dst, ws.OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// appendText appends a whole text frame.
func appendText(dst, text []byte) []byte {
	return append(appendHeader(dst, ws.OpText, len(text)), text...)
}
