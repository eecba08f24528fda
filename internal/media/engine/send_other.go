//go:build !unix

package engine

import (
	"net"
	"net/netip"
)

// sender sends datagrams through the standard library.
type sender struct{ conn *net.UDPConn }

func (s *sender) init(conn *net.UDPConn) error {
	s.conn = conn
	return nil
}

func (s *sender) send(to netip.AddrPort, data []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(data, to)
	return err
}
