//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Opcodes of RFC 6455 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	maxRead    = 16 << 10
	maxMessage = 1 << 20
)

var errClosed = errors.New("the gateway closed a WebSocket")

// link is one WebSocket of a bot. What it carries is decided by on: a link of many calls would find the call in
// the message, a link of one call knows it.
type link struct {
	fd     int
	rest   []byte // the beginning of a message that is not complete
	closed bool
	on     func(payload []byte, at int64) // a binary message, with its time of arrival

	texts, errors int
	lastError     string
}

// openLink makes a WebSocket (RFC 6455 4.1).
func openLink(port uint16, path string, on func([]byte, int64)) (*link, error) {
	fd, err := dialTCP(port)
	if err != nil {
		return nil, err
	}
	l := &link{fd: fd, on: on, rest: make([]byte, 0, 2048)}
	if err := l.shake(port, path); err != nil {
		l.close()
		return nil, fmt.Errorf("open the WebSocket %s: %w", path, err)
	}
	return l, nil
}

func (l *link) shake(port uint16, path string) error {
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, port)
	if _, err := unix.Write(l.fd, []byte(request)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	var answer []byte
	one := make([]byte, 1) // byte by byte, so that nothing of the first message is read
	for !bytes.HasSuffix(answer, []byte("\r\n\r\n")) && len(answer) < 4096 {
		n, err := unix.Read(l.fd, one)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("read: %w", errors.Join(err, errClosed))
		}
		answer = append(answer, one[0])
	}
	// The key is the example of the RFC, and so is what it must be answered with.
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || !bytes.Contains(answer, []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		status, _, _ := strings.Cut(string(answer), "\r\n")
		return fmt.Errorf("%w: %s", errRefused, status)
	}
	if err := unix.SetNonblock(l.fd, true); err != nil {
		return fmt.Errorf("make it non-blocking: %w", err)
	}
	return nil
}

func (l *link) close() {
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
	}
	l.fd, l.closed = -1, true
}

// pump reads all that waits, with room to work in that is shared by all links.
func (l *link) pump(r *stampedReader, room []byte) {
	for !l.closed {
		kept := copy(room, l.rest)
		n, at, err := r.read(l.fd, room[kept:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return
		}
		if err != nil || n == 0 {
			l.closed = true
			return
		}
		all := room[:kept+n]
		used := l.parse(all, at)
		if len(all)-used > maxRead/2 { // no message of the gateway is so long
			l.closed = true
			return
		}
		l.rest = append(l.rest[:0], all[used:]...)
		if kept+n < len(room) {
			return
		}
	}
}

// parse takes whole messages apart and returns how many bytes they had.
func (l *link) parse(p []byte, at int64) int {
	used := 0
	for len(p)-used >= 2 {
		b := p[used:]
		size, head := int(b[1]&127), 2
		switch {
		case size == 126 && len(b) >= 4:
			size, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case size == 127 && len(b) >= 10:
			size, head = int(min(binary.BigEndian.Uint64(b[2:]), maxMessage)), 10
		case size >= 126:
			return used
		}
		if len(b) < head+size {
			return used
		}
		l.message(b[0]&15, b[head:head+size], at)
		used += head + size
	}
	return used
}

func (l *link) message(op byte, payload []byte, at int64) {
	switch op {
	case opBinary, opContinuation:
		if l.on != nil {
			l.on(payload, at)
		}
	case opText:
		l.texts++
		if bytes.Contains(payload, []byte(`"type":"error"`)) {
			l.errors++
			l.lastError = string(payload)
		}
	case opPing:
		_ = send(l.fd, masked(opPong, payload)) // every 15 s: what it allocates does not matter
	case opClose:
		l.closed = true
	}
}

// masked returns a message of a client (RFC 6455 5.3). The mask may be constant: it protects proxies, of which
// there are none here.
func masked(op byte, payload []byte) []byte {
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	out := []byte{0x80 | op}
	if len(payload) < 126 {
		out = append(out, 0x80|byte(len(payload)))
	} else {
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(len(payload)))
	}
	out = append(out, mask[:]...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

// failures collects the first error of many goroutines.
type failures struct {
	mu    sync.Mutex
	first error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
	}
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}
