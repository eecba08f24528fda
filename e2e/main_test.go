package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program is the phonesocket that all tests here run, built once with the race detector.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "phonesocket-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "phonesocket")
	if !testing.Short() {
		build := exec.Command("go", "build", "-race", "-o", program, "phonesocket/cmd/phonesocket")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the binary:", err)
			return 1
		}
	}
	return m.Run()
}

// peers skips where tests are to be short, and where a command that the test needs is missing: visibly
// on a developer's machine, as a failure in CI.
func peers(t *testing.T, commands ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("real peers are left out with -short")
	}
	for _, command := range commands {
		if _, err := lookPath(command); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed: run scripts/install-test-tools.sh", command)
			}
			t.Skipf("%s is not installed: run scripts/install-test-tools.sh", command)
		}
	}
}

// lookPath finds a command, also where only root has it in the path.
func lookPath(command string) (string, error) {
	if path, err := exec.LookPath(command); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", command))
}

// nextPort is where freePort goes on. The ports lie below those that the kernel gives to connections, which could
// take them in between; where to begin is left to chance, as another run may be under way.
var nextPort atomic.Int32

// portBlock is how many ports in a row are given out as one: baresip also takes the next one for TLS, and sipp the
// ones for RTCP and video.
const portBlock = 8

// freePort returns a port on loopback that was free for UDP and TCP a moment ago, with those behind it, and is not
// given out again.
func freePort(t *testing.T) int {
	t.Helper()
	const first, blocks = 12000, 2200
	nextPort.CompareAndSwap(0, rand.Int32N(blocks))
	for range blocks {
		port := first + portBlock*(int(nextPort.Add(1))%blocks)
		if blockIsFree(port) {
			return port
		}
	}
	t.Fatal("no ports are free for UDP and TCP")
	return 0
}

func blockIsFree(first int) bool {
	for port := first; port < first+portBlock; port++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		udp, err := net.ListenPacket("udp4", address)
		if err != nil {
			return false
		}
		udp.Close()
		tcp, err := net.Listen("tcp4", address)
		if err != nil {
			return false
		}
		tcp.Close()
	}
	return true
}

// process is a peer that runs beside the test and is ended with it.
type process struct {
	cmd    *exec.Cmd
	output *logBuffer
	done   chan struct{}
	err    error // valid when done is closed
}

// start runs a command until the test ends; its output is printed when the test has failed.
func start(t *testing.T, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	path, err := lookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	// A program with the race detector sleeps for a second at its end unless told not to.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GORACE=atexit_sleep_ms=0"}, env...)
	return startCommand(t, cmd)
}

// startWithInput is start for a peer that reads its standard input.
func startWithInput(t *testing.T, dir string, input *os.File, name string, args ...string) *process {
	t.Helper()
	path, err := lookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdin = dir, input
	return startCommand(t, cmd)
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, output: &logBuffer{changed: make(chan struct{})}, done: make(chan struct{})}
	name := cmd.Path
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// Children of a peer that had to be killed may hold its output open.
	p.cmd.WaitDelay = 2 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(name), p.output.tail(120))
		}
	})
	return p
}

// stop asks the process to end, and insists after a while. That ours has to be told so is a failure; kamailio's
// processes now and then wait for one another at the end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	ours := p.cmd.Path == program
	limit := 3 * time.Second
	if ours {
		limit = 10 * time.Second
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(limit):
		p.kill()
		<-p.done
		if ours {
			t.Errorf("%s did not end within %v of SIGINT", filepath.Base(p.cmd.Path), limit)
		}
	}
}

// kill ends the process and those that it has started itself.
func (p *process) kill() {
	pid := p.cmd.Process.Pid
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = p.cmd.Process.Kill()
	for field := range strings.FieldsSeq(string(children)) {
		if child, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	}
}

// waitOutput waits until the process has printed text.
func (p *process) waitOutput(t *testing.T, text string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		found, changed := p.output.contains(text)
		if found {
			return
		}
		select {
		case <-changed:
		case <-p.done:
			t.Fatalf("%s ended before it printed %q", filepath.Base(p.cmd.Path), text)
		case <-ctx.Done():
			t.Fatalf("%s did not print %q within %v", filepath.Base(p.cmd.Path), text, limit)
		}
	}
}

// logBuffer collects the output of a process and tells when there is more.
type logBuffer struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p)
	close(b.changed)
	b.changed = make(chan struct{})
	return len(p), nil
}

func (b *logBuffer) contains(text string) (bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), text), b.changed
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) tail(lines int) string {
	all := strings.Split(b.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
