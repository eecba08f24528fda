package phonenet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	maxConns      = 256              // open connections; more are closed at once
	maxHead       = 32 << 10         // bytes of start line and headers
	maxBody       = 64 << 10         // bytes of a body
	streamIdle    = 10 * time.Minute // a connection that says nothing for so long is closed
	streamBacklog = 1024             // messages that wait for a slow peer: some for each of many calls on one connection
)

var errSlowPeer = errors.New("the connection is closed or its peer does not read")

// streamConn is one accepted TCP or TLS connection.
type streamConn struct {
	conn net.Conn
	out  chan []byte
	gone chan struct{} // closed when the reader has ended
}

// send queues data. A peer that does not read loses its connection.
func (c *streamConn) send(data []byte) error {
	select {
	case <-c.gone:
		return errSlowPeer
	default:
	}
	select {
	case c.out <- data:
		return nil
	default:
		c.conn.Close()
		return errSlowPeer
	}
}

func (c *streamConn) write() {
	for {
		select {
		case data := <-c.out:
			if c.conn.SetWriteDeadline(time.Now().Add(10*time.Second)) != nil {
				return
			}
			if _, err := c.conn.Write(data); err != nil {
				c.conn.Close()
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (s *sockets) accept(l listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors: wait until some are free, or until the end.
			select {
			case <-s.net.quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		c := &streamConn{conn: conn, out: make(chan []byte, streamBacklog), gone: make(chan struct{})}
		if !s.add(c) {
			conn.Close()
			continue
		}
		s.net.readers.Go(c.write)
		s.net.readers.Go(func() { s.readStream(c, l.network) })
	}
}

func (s *sockets) add(c *streamConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || len(s.conns) >= maxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *sockets) readStream(c *streamConn, network string) {
	from := flow{network: network, remote: addrPort(c.conn.RemoteAddr()), conn: c}
	defer func() {
		close(c.gone)
		c.conn.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReaderSize(c.conn, 4096)
	parser := sip.NewParser()
	for {
		if c.conn.SetReadDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		data, err := readMessage(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.net.log.Debug("connection ended", "remote", from.remote.String(), "error", err)
			}
			return
		}
		if len(data) == 0 { // RFC 5626 4.4.1: a double CRLF is a ping, a single one the pong
			s.net.post(func() { s.net.counters.KeepAlives++ })
			if c.send([]byte("\r\n")) != nil {
				return
			}
			continue
		}
		s.deliver(parser, data, from)
	}
}

// readMessage reads one message from a stream, whose end only its
// Content-Length tells (RFC 3261 18.3). A double CRLF in front of a message is
// returned as an empty one; a single CRLF is skipped.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var head []byte
	length, empty := -1, 0
	for {
		line, err := readLine(r, maxHead-len(head))
		if err != nil {
			return nil, err
		}
		trimmed := bytes.TrimRight(line, "\r\n")
		switch {
		case len(trimmed) == 0 && len(head) == 0:
			if empty++; empty == 2 {
				return nil, nil
			}
			continue
		case len(trimmed) == 0:
			return readBody(r, append(head, line...), length)
		}
		head = append(head, line...)
		if value, ok := contentLength(trimmed); ok {
			if length, err = strconv.Atoi(value); err != nil || length < 0 || length > maxBody {
				return nil, fmt.Errorf("content length %q is not possible", value)
			}
		}
	}
}

func contentLength(line []byte) (string, bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimSpace(name)
	if !ok || !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
		return "", false
	}
	return string(bytes.TrimSpace(value)), true
}

func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return nil, errors.New("message head is too long")
		}
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

func readBody(r io.Reader, head []byte, length int) ([]byte, error) {
	if length < 0 {
		return nil, errors.New("message on a stream without Content-Length")
	}
	data := append(head, make([]byte, length)...)
	if _, err := io.ReadFull(r, data[len(head):]); err != nil {
		return nil, err
	}
	return data, nil
}
