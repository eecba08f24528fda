//go:build !linux

package engine

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// poller does not exist here: every socket is fed.
type poller struct{ *channelRest }

func newPoller(time.Time) (*poller, error) { return nil, errors.ErrUnsupported }

func (p *poller) pin() {}

func openPolledRTP(netip.Addr, [2]uint16) (rtpSocket, error) { return nil, errors.ErrUnsupported }

func polledCarrier(*Conn, net.Conn) carrier { return nil }
