//go:build !linux

package transport

import "net"

// watchErrors does nothing where the kernel does not keep ICMP errors: silence
// then tells the same later.
func watchErrors(*net.UDPConn) error { return nil }

func (t *Transport) refusals() {}
