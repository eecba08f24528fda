package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// TestARefusedDatagramIsToldAtOnce_RFC3261_18_4 also holds that the errors of
// one target neither cost another its datagrams nor end the socket.
func TestARefusedDatagramIsToldAtOnce_RFC3261_18_4(t *testing.T) {
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(bind, func(t *testing.T) {
			gone, err := net.ListenPacket("udp", bind)
			if err != nil {
				t.Skipf("this system has no %s: %v", bind, err)
			}
			dead := Target{Network: UDP, Addr: unmap(gone.LocalAddr().(*net.UDPAddr).AddrPort())}
			gone.Close()
			live, err := net.ListenPacket("udp", bind)
			if err != nil {
				t.Fatal(err)
			}
			defer live.Close()
			alive := Target{Network: UDP, Addr: unmap(live.LocalAddr().(*net.UDPAddr).AddrPort())}
			const rounds = 2 * maxReadFailures
			broken := make(chan error, rounds)
			r := start(t, func(c *Config) {
				c.Bind = netip.MustParseAddrPort(bind)
				c.Broken = func(to Target, err error) {
					if to != dead {
						t.Errorf("%s is told broken: %v", to, err)
					}
					broken <- err
				}
			})
			buf := make([]byte, 100)
			for i := range rounds {
				r.Send(dead, []byte("x"))
				r.Send(alive, []byte("y"))
				_ = live.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, _, err := live.ReadFrom(buf); err != nil {
					t.Fatalf("datagram %d to the peer that lives: %v", i, err)
				}
			}
			select {
			case err := <-broken:
				if !errors.Is(err, ErrICMP) || !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("got %v, want a refusal", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("the refusal was not told")
			}
		})
	}
}
