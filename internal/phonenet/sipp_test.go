package phonenet

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// A telephone that others wrote places many calls at once, over both networks.
func TestSippPlacesManyCalls(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("real peers are left out with -short")
	}
	sipp, err := exec.LookPath("sipp")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("sipp is not installed: apt-get install sip-tester")
		}
		t.Skip("sipp is not installed: apt-get install sip-tester")
	}
	const calls = 60
	for network, flag := range map[string]string{"udp": "u1", "tcp": "t1"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			n := start(t, Config{Network: network, History: calls})
			own := freePort(t)
			out, err := exec.CommandContext(within(t), sipp, n.Addr().String(), "-sf", "testdata/caller.xml", "-s", "100",
				"-i", "127.0.0.1", "-p", strconv.Itoa(own), "-t", flag, "-m", strconv.Itoa(calls), "-r", "60", "-l", "60",
				"-nostdin", "-timeout", "9s", "-timeout_error").CombinedOutput()
			if err != nil {
				t.Fatalf("sipp: %v\n%s", err, out)
			}
			if err := n.wait(within(t), func() bool { return len(n.legs) == 0 }); err != nil {
				t.Fatal(err)
			}
			want := Seen{Invite: 1, Ack: 1, Bye: 1}
			all := n.Calls()
			for _, c := range all {
				got := c.Seen
				got.Retransmits = 0 // the machine may be slow
				if got != want || c.Reason != EndRemoteBye {
					t.Errorf("call is %+v", c)
				}
			}
			if len(all) != calls {
				t.Errorf("%d calls, want %d", len(all), calls)
			}
		})
	}
}

// freePort asks the kernel for a port that sipp can have.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}
