//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == floorCommand {
		os.Exit(report(floorArguments(os.Args[2:], os.Stdout)))
	}
	goleak.VerifyTestMain(m)
}

func TestTwoCallsInTwoSecondsCountEveryFrame(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the gateway: not with -short")
	}
	binary := gatewayBinary(t)
	for _, format := range []string{"pcm16", "alaw"} {
		t.Run(format, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bench.json")
			var out, progress bytes.Buffer
			err := run(t.Context(), []string{
				"-gateway", binary, "-calls", "2", "-rounds", "1", "-extra", "0", "-warm", "1s", "-count", "2s", "-setups", "100ms",
				"-pin=false", "-format", format, "-json", file,
			}, &out, &progress)
			if err != nil {
				t.Fatal(err)
			}
			checkOutput(t, out.String())
			checkRounds(t, file)
		})
	}
}

func gatewayBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "phonesocket")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "phonesocket/cmd/phonesocket")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, text)
	}
	return binary
}

func checkOutput(t *testing.T, text string) {
	t.Helper()
	lines := bytes.Split(bytes.TrimSpace([]byte(text)), []byte("\n"))
	last := lines[len(lines)-1]
	if !regexp.MustCompile(`^floor_ratio=(none|\d+\.\d+) calls=2 lost=(none|\d+) late=(none|\d+) rounds=\d rejected=\d`).Match(last) {
		t.Errorf("last line is %q", last)
	}
}

// checkRounds looks at rejected rounds too: other tests disturb the machine, but not the counting.
func checkRounds(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var result Result
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	rounds := append(result.Sizes[0].Rounds, result.Sizes[0].RejectedRounds...)
	if len(rounds) == 0 {
		t.Fatal("no round was measured")
	}
	for _, r := range rounds {
		for name, d := range map[string]Direction{"RTP to WebSocket": r.RTPToWebSocket, "WebSocket to RTP": r.WebSocketToRTP} {
			const want = 2 * 2 * 50 // calls, seconds, frames
			if d.Sent != want || d.Arrived != want || d.Lost != 0 || d.Unreadable != 0 {
				t.Errorf("%s: sent %d, arrived %d, lost %d, unreadable %d; want %d, %d, 0, 0", name, d.Sent, d.Arrived, d.Lost, d.Unreadable, want, want)
			}
			if d.Latency.P50 <= 0 || d.Latency.P50 > 200 {
				t.Errorf("%s: latency p50 is %.3f ms", name, d.Latency.P50)
			}
		}
		if r.CPU <= 0 || r.Floor.Sum() <= 0 || r.Ratio <= 0 || r.IdleRSS <= 0 || r.Threads <= 0 {
			t.Errorf("CPU %.3f ms, floor %.0f ns, ratio %.2f, RSS %d KiB, %d threads: all must be there", r.CPU, r.Floor.Sum(), r.Ratio, r.IdleRSS, r.Threads)
		}
		if r.SequenceGaps != 0 || r.Closed != 0 || r.Errors != 0 {
			t.Errorf("%d sequence gaps, %d sockets closed, %d errors (%s)", r.SequenceGaps, r.Closed, r.Errors, r.ErrorExample)
		}
	}
	if result.SetUps == nil || result.SetUps.CPU <= 0 {
		t.Errorf("set-ups: %+v", result.SetUps)
	}
}

// While a round counts the collector of this process does not run: the sweep must not allocate.
func TestServingACallAllocatesNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	c := newCodec("pcm16")
	message, payload := c.frame(3), newCodec("alaw")
	sound := payload.frame(3)
	var r row
	if n := testing.AllocsPerRun(100, func() {
		r.take(c.read(message), 1000)
		r.take(payload.read(sound), 1000)
	}); n != 0 {
		t.Errorf("reading a frame allocates %v times", n)
	}
	a, portA, err := openUDP()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(a)
	b, _, err := openUDP()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(b)
	connectFD(t, b, portA)
	reader, room := &stampedReader{}, make([]byte, 2048)
	before := time.Now().UnixNano()
	if n := testing.AllocsPerRun(100, func() {
		if err := send(b, sound); err != nil {
			t.Fatal(err)
		}
		n, at, err := reader.read(a, room)
		if err != nil || n != len(sound) || at < before || at > time.Now().UnixNano() {
			t.Fatalf("read %d bytes at %d, %v; want %d after %d", n, at, err, len(sound), before)
		}
	}); n != 0 {
		t.Errorf("sending and receiving allocates %v times", n)
	}
}

func TestAProcessClockRunsAsFastAsItsProcess(t *testing.T) {
	before, own := readClock(processClock(os.Getpid())), mono()
	for end := mono() + 50e6; mono() < end; {
		continue
	}
	used, elapsed := readClock(processClock(os.Getpid()))-before, mono()-own
	if used <= 0 || used > 8*elapsed {
		t.Errorf("used %d ns of CPU in %d ns", used, elapsed)
	}
}

func TestTheSweepWandersSlowlyAndComesBack(t *testing.T) {
	for i := range int64(4000) {
		at, step := wander(i), wander(i+1)-wander(i)
		if at < 0 || at > tick || max(step, -step) > tick/1000 {
			t.Fatalf("at tick %d: %d ns, then %d more", i, at, step)
		}
	}
	if wander(0) != 0 || wander(1000) != tick || wander(2000) != 0 {
		t.Errorf("turning points: %d, %d, %d", wander(0), wander(1000), wander(2000))
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-calls", "0"}, {"-calls", "x"}, {"-calls", "1,99999"}, {"-rounds", "0"}, {"-count", "10ms"}, {"-format", "opus"}, {"more"},
	} {
		var out bytes.Buffer
		if _, err := parseOptions(args, &out); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestARoundOnARestlessMachineIsRejected(t *testing.T) {
	quiet := Round{Rate: 1, LoadLateness: 1, Control: Percentiles{P99: 0.1}}
	for name, test := range map[string]struct {
		change func(*Round)
		want   int
	}{
		"all is quiet":          {func(*Round) {}, 0},
		"the load is late":      {func(r *Round) { r.LoadLateness = 5.1 }, 1},
		"the load is too slow":  {func(r *Round) { r.Rate = 0.98 }, 1},
		"the load is too fast":  {func(r *Round) { r.Rate = 1.02 }, 1},
		"others take the core":  {func(r *Round) { r.Control.P99 = 1.1 }, 1},
		"the gateway loses":     {func(r *Round) { r.RTPToWebSocket.Lost = 100 }, 0},
		"everything goes wrong": {func(r *Round) { r.Rate, r.LoadLateness, r.Control.P99 = 0, 9, 9 }, 3},
	} {
		r := quiet
		test.change(&r)
		r.judge()
		if len(r.Rejected) != test.want {
			t.Errorf("%s: rejected for %q, want %d reasons", name, r.Rejected, test.want)
		}
	}
}
