package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
)

// loadEnv has the test binary be the other side of a benchmark: phones and bots for so many calls.
const loadEnv = "PHONESOCKET_ENGINE_LOAD"

// BenchmarkFrame measures what a frame each way costs per call, CPU time of this process only: the phones and
// the bots are another process. It is bounded: ways are measured for about a second each, whatever b.N is.
//
// The unit is one call's 20 ms: one RTP packet in and one out, one message to a listener and one of
// a speaker, PCM16 at 16 kHz. The floor is the four bare system calls. PHONESOCKET_CALLS sets the number of calls.
func BenchmarkFrame(b *testing.B) {
	calls := 100
	if n, err := strconv.Atoi(os.Getenv("PHONESOCKET_CALLS")); err == nil {
		calls = n
	}
	floor := measureFloor(b)
	ways := []struct {
		name  string
		fed   bool
		above int
	}{{"fed", true, 0}, {"event", false, 1 << 30}, {"drain", false, -1}}
	for once := true; b.Loop(); once = false {
		if !once {
			continue
		}
		fed := 0.0
		for _, way := range ways {
			cost := measureWay(b, calls, way.fed, way.above)
			b.ReportMetric(cost.perFrame, way.name+"-ns/frame")
			b.ReportMetric(cost.perFrame/floor, way.name+"/floor")
			b.ReportMetric(cost.latency.Seconds()*1e6, way.name+"-p50-µs")
			if way.fed {
				fed = cost.perFrame
			} else {
				b.ReportMetric(cost.perFrame/fed, way.name+"/fed")
			}
			if cost.lost > 0 {
				b.Logf("%s: %d of %d messages lost", way.name, cost.lost, cost.frames)
			}
		}
		b.ReportMetric(floor, "floor-ns/frame")
	}
	b.ReportMetric(0, "ns/op")
}

type wayCost struct {
	perFrame     float64 // ns of CPU time
	latency      time.Duration
	frames, lost int
}

// loadSays is what the other process tells about its second.
type loadSays struct {
	Frames, Lost int
	LatencyNS    int64 // median of RTP in to message out
}

// measureWay runs calls for a second.
func measureWay(b *testing.B, calls int, fed bool, above int) wayCost {
	b.Helper()
	load, say := startLoad(b, calls)
	defer load.Process.Kill()
	e, err := New(Config{Bind: netip.MustParseAddr("127.0.0.1"), Workers: 1, Fed: fed, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	e.workers[0].meter.above, e.workers[0].meter.below = above, above
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	out := json.NewEncoder(say)
	in := bufio.NewScanner(load.Stdout.(*os.File))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range calls {
		benchCall(b, e, l, in, out)
	}
	wait := func() (told loadSays) {
		if !in.Scan() || json.Unmarshal(in.Bytes(), &told) != nil {
			b.Fatalf("the load says %q", in.Text())
		}
		return told
	}
	wait() // it has warmed up
	before := cpuTime(b)
	told := wait()
	spent := cpuTime(b) - before
	return wayCost{
		perFrame: float64(spent) / float64(max(told.Frames, 1)), latency: time.Duration(told.LatencyNS),
		frames: told.Frames, lost: told.Lost,
	}
}

// benchCall opens one call with a speaker and a listener.
func benchCall(b *testing.B, e *Engine, l net.Listener, in *bufio.Scanner, out *json.Encoder) {
	b.Helper()
	m, err := e.Open(MediaConfig{Session: session.Config{SSRC: 1}})
	if err != nil {
		b.Fatal(err)
	}
	if err := out.Encode([]int{int(m.Addr().Port()), l.Addr().(*net.TCPAddr).Port}); err != nil {
		b.Fatal(err)
	}
	for _, role := range []Role{Speak, Listen} {
		far, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c := e.Adopt(far, nil, ConnConfig{Role: role, Format: session.Format{Rate: 16000}, Dialect: silentDialect{}})
		if err := c.Attach(m); err != nil {
			b.Fatal(err)
		}
	}
	if !in.Scan() {
		b.Fatal("the load is gone")
	}
	port, err := strconv.Atoi(in.Text())
	if err != nil {
		b.Fatal(err)
	}
	m.Start(sdp.Remote{
		Addr:  netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)),
		Codec: sdp.PCMU(), PtimeMS: 20, Direction: "sendrecv",
	})
	m.Answered()
}

// silentDialect has no texts.
type silentDialect struct{ testDialect }

func (silentDialect) AppendEvent(dst []byte, _ session.Event) ([]byte, bool) { return dst, false }

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startLoad(b *testing.B, calls int) (*exec.Cmd, *os.File) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), loadEnv+"="+strconv.Itoa(calls))
	cmd.Stderr = os.Stderr
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout = inR, outW
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	inR.Close()
	outW.Close()
	b.Cleanup(func() {
		_ = cmd.Wait()
		inW.Close()
		outR.Close()
	})
	cmd.Stdout = outR
	return cmd, inW
}

// measureFloor measures the four system calls that no gateway can do without.
func measureFloor(b *testing.B) float64 {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const pairs, rounds = 100, 60
	var udp, tcp [pairs][2]int
	for i := range pairs {
		udp[i], tcp[i] = udpPair(b), rawTCPPair(b)
	}
	buf := make([]byte, 4096)
	frame := make([]byte, 644)
	before := threadTime(b)
	for range rounds {
		for i := range pairs {
			_, _ = send(udp[i][0], frame[:172])
			_, _ = recv(udp[i][1], buf[:1500])
			_, _ = send(tcp[i][0], frame)
		}
		for i := range pairs {
			_, _ = recv(tcp[i][1], buf)
		}
	}
	spent := threadTime(b) - before
	for i := range pairs {
		for _, fd := range []int{udp[i][0], udp[i][1], tcp[i][0], tcp[i][1]} {
			_ = unix.Close(fd)
		}
	}
	return float64(spent) / (pairs * rounds)
}

func threadTime(b *testing.B) time.Duration {
	b.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		b.Fatal(err)
	}
	return time.Duration(now.Nano())
}

func udpPair(b *testing.B) (pair [2]int) {
	b.Helper()
	local := netip.MustParseAddr("127.0.0.1")
	var ends [2]*polledRTP
	for i := range ends {
		var err error
		if ends[i], err = openPolledRTP(local, [2]uint16{}); err != nil {
			b.Fatal(err)
		}
		pair[i] = ends[i].fd
	}
	for i := range ends {
		to, err := makeRawAddr(ends[1-i].local, false)
		if err != nil {
			b.Fatal(err)
		}
		if errno := connect(pair[i], &to); errno != 0 {
			b.Fatal(errno)
		}
	}
	return pair
}

func rawTCPPair(b *testing.B) [2]int {
	b.Helper()
	near, far := tcpPair(b)
	return [2]int{rawTCP(b, near), rawTCP(b, far)}
}

func rawTCP(b *testing.B, nc net.Conn) int {
	b.Helper()
	p, ok := polledCarrier(nil, nc).(*polledConn)
	if !ok {
		b.Fatal("no raw descriptor")
	}
	return p.fd
}
