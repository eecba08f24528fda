package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maxPayload bounds one message from the gateway.
const maxPayload = 1 << 20

// socket is the customer's end of one audio WebSocket.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
	out    chan ws.Frame
	in     chan received // closed when the connection has ended
	quit   chan struct{}
	once   sync.Once
	all    sync.WaitGroup
}

// received is one message from the gateway.
type received struct {
	audio []byte
	text  event // when audio is nil
	at    time.Time
}

// event is a text message.
type event struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Codec   string `json:"codec"`
	Format  string `json:"format"`
	Rate    int    `json:"rate"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Cleared bool   `json:"cleared"`
}

func dialSocket(ctx context.Context, url, token string) (*socket, error) {
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})}
	conn, reader, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", url, err)
	}
	if reader == nil {
		reader = bufio.NewReader(conn)
	}
	s := &socket{conn: conn, reader: reader, out: make(chan ws.Frame, 64), in: make(chan received, 4096), quit: make(chan struct{})}
	s.all.Go(s.read)
	s.all.Go(s.write)
	return s, nil
}

// close ends the connection and returns when its goroutines have ended.
func (s *socket) close() {
	s.shut()
	s.all.Wait()
}

func (s *socket) shut() {
	s.once.Do(func() {
		close(s.quit)
		_ = s.conn.Close() // nothing is lost with it
	})
}

func (s *socket) read() {
	defer close(s.in)
	defer s.shut()
	for {
		h, err := ws.ReadHeader(s.reader)
		if err != nil || h.Length > maxPayload || !h.Fin {
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return
		}
		if !s.take(h.OpCode, payload, time.Now()) {
			return
		}
	}
}

// take handles one frame and reports whether there can be another.
func (s *socket) take(code ws.OpCode, payload []byte, at time.Time) bool {
	m := received{at: at}
	switch code {
	case ws.OpPing:
		return s.send(ws.NewPongFrame(payload))
	case ws.OpClose:
		s.send(ws.NewCloseFrame(payload))
		return false
	case ws.OpText:
		if json.Unmarshal(payload, &m.text) != nil {
			return false
		}
	case ws.OpBinary:
		m.audio = payload
	case ws.OpPong, ws.OpContinuation:
		return true
	}
	select {
	case s.in <- m:
		return true
	case <-s.quit:
		return false
	}
}

// send queues a frame; it reports false when the connection has ended.
func (s *socket) send(f ws.Frame) bool {
	select {
	case s.out <- f:
		return true
	case <-s.quit:
		return false
	}
}

func (s *socket) write() {
	defer s.shut()
	for {
		select {
		case f := <-s.out:
			if err := ws.WriteFrame(s.conn, ws.MaskFrameInPlace(f)); err != nil {
				return
			}
			if f.Header.OpCode == ws.OpClose {
				return
			}
		case <-s.quit:
			return
		}
	}
}

// errGone is returned when the gateway has closed a socket too early.
var errGone = errors.New("the gateway closed the audio socket")

// wait reads until a text of the type comes, and passes everything before it to skip.
func (s *socket) wait(ctx context.Context, kind string) (event, error) {
	for {
		select {
		case m, ok := <-s.in:
			switch {
			case !ok:
				return event{}, fmt.Errorf("wait for %q: %w", kind, errGone)
			case m.audio != nil:
			case m.text.Type == kind:
				return m.text, nil
			case m.text.Type == "end":
				return event{}, fmt.Errorf("the call ended as %s (%s) before %q", m.text.Status, m.text.Reason, kind)
			case m.text.Type == "error":
				return event{}, fmt.Errorf("the audio socket reports %s: %s", m.text.Code, m.text.Message)
			}
		case <-ctx.Done():
			return event{}, fmt.Errorf("wait for %q: %w", kind, ctx.Err())
		}
	}
}
