package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"phonesocket/internal/phonenet"
)

// startBox runs a telephone network in a box, with alice as its customer.
func startBox(t *testing.T) (box *phonenet.Net, account []string) {
	t.Helper()
	box, err := phonenet.Start(t.Context(), phonenet.Config{
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), Users: map[string]string{"alice": "alice-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	return box, []string{fmt.Sprintf("SIP_SERVER=%v", box.Addr()), "SIP_USER=alice", "SIP_PASSWORD=alice-secret"}
}

func TestTheScriptForCustomersProvesARunningGateway(t *testing.T) {
	peers(t, "python3")
	_, account := startBox(t)
	g := startGateway(t, append(account, "API_TOKEN=a-token-for-this-test")...)
	heard := filepath.Join(t.TempDir(), "heard.wav")
	run := func(args ...string) (string, error) {
		script := exec.CommandContext(t.Context(), "python3", append([]string{"../scripts/test-call.py", "--api", g.api, "--record", heard}, args...)...)
		out, err := script.CombinedOutput()
		return string(out), err
	}
	tests := []struct {
		name string
		args []string
		want string
		fail bool
	}{
		{name: "an echo comes back", args: []string{"--to", "100", "--echo", "--token", "a-token-for-this-test"}, want: "verdict: all of it works"},
		{name: "a speaker is heard", args: []string{"--to", "101", "--token", "a-token-for-this-test"}, want: "verdict: all of it works"},
		{name: "a busy callee is named", args: []string{"--to", "102", "--token", "a-token-for-this-test"}, want: "busy", fail: true},
		{name: "a silent callee is named", args: []string{"--to", "107", "--token", "a-token-for-this-test"}, want: "no audio came back", fail: true},
		{name: "a forbidden number is named", args: []string{"--to", "112", "--token", "a-token-for-this-test"}, want: "emergency_number", fail: true},
		{name: "a missing token is named", args: []string{"--to", "100"}, want: "API_TOKEN", fail: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := run(test.args...)
			if (err != nil) != test.fail || !strings.Contains(out, test.want) {
				t.Errorf("test-call.py %v: error %v, want %v; output without %q:\n%s", test.args, err, test.fail, test.want, out)
			}
		})
	}
}
