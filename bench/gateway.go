//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startWait   = 10 * time.Second
	stopWait    = 10 * time.Second
	requestWait = 15 * time.Second
	keptLines   = 20 // of the gateway's log, for the report of a failure
)

// gateway is the process that is measured.
type gateway struct {
	cmd    *exec.Cmd
	core   int
	client *http.Client
	exited chan struct{}

	api, speak, listen uint16
	debug              string        // address of the profiles, or empty
	registerTook       time.Duration // from exec to REGISTER on the wire

	mu    sync.Mutex
	lines []string // the last of its log
	loud  int      // warnings and errors in it
}

// gatewayConfig says how to start it.
type gatewayConfig struct {
	binary string
	core   int // negative: anywhere
	env    []string
	debug  bool
}

// startGateway starts a gateway at the SIP server and waits until it is registered.
func startGateway(ctx context.Context, cfg gatewayConfig, s *server) (*gateway, error) {
	g := &gateway{core: cfg.core, exited: make(chan struct{})}
	g.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: requestWait}
	g.cmd = exec.CommandContext(context.WithoutCancel(ctx), cfg.binary)
	g.cmd.Env = append([]string{
		"SIP_SERVER=" + s.at.String(), "SIP_USER=bench", "SIP_PASSWORD=bench", "SIP_BIND=127.0.0.1:0",
		"API_PORT=0", "SPEAK_PORT=0", "LISTEN_PORT=0", "MAX_CALLS=10000", "CALLS_PER_MINUTE=100000",
		"LOG_FORMAT=json", "DRAIN_TIMEOUT=0s",
	}, cfg.env...)
	if cfg.debug {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		g.debug = "127.0.0.1:" + strconv.Itoa(int(port))
		g.cmd.Env = append(g.cmd.Env, "DEBUG_LISTEN="+g.debug)
	}
	select { // of a gateway before
	case <-s.registered:
	default:
	}
	logs, err := g.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.binary, err)
	}
	g.cmd.Stdout = io.Discard
	began := time.Now()
	if err := startPinned(g.cmd, cfg.core); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.binary, err)
	}
	ready := make(chan struct{})
	go g.follow(logs, ready)
	if err := g.await(ctx, s, ready, began); err != nil {
		g.kill()
		return nil, err
	}
	return g, nil
}

// await waits for the ports, the REGISTER and readiness.
func (g *gateway) await(ctx context.Context, s *server, ready <-chan struct{}, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	select {
	case at := <-s.registered:
		g.registerTook = at.Sub(began)
	case <-g.exited:
		return fmt.Errorf("the gateway ended at its start:\n%s", g.tail())
	case <-ctx.Done():
		return fmt.Errorf("the gateway did not register: %w\n%s", ctx.Err(), g.tail())
	}
	select {
	case <-ready:
	case <-g.exited:
		return fmt.Errorf("the gateway ended at its start:\n%s", g.tail())
	case <-ctx.Done():
		return fmt.Errorf("the gateway did not tell its ports: %w\n%s", ctx.Err(), g.tail())
	}
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		err := g.get(ctx, g.url("/ready"), io.Discard)
		if err == nil {
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("the gateway is not ready: %w", err)
		}
	}
}

// startPinned starts a process on a core: a child inherits the core of the thread that starts it.
func startPinned(cmd *exec.Cmd, core int) error {
	if core < 0 {
		return cmd.Start()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := pinThread(0, core)
		if err == nil {
			err = cmd.Start()
		}
		done <- err
	}()
	return <-done
}

// follow reads the log until the gateway closes it, and then waits for the process.
func (g *gateway) follow(logs io.Reader, ready chan<- struct{}) {
	defer close(g.exited)
	lines := bufio.NewScanner(logs)
	lines.Buffer(nil, 1<<20)
	told := false
	for lines.Scan() {
		var line struct {
			Level, Msg         string
			API, Speak, Listen netip.AddrPort
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" && !told {
			told = true
			g.api, g.speak, g.listen = line.API.Port(), line.Speak.Port(), line.Listen.Port()
			close(ready)
		}
		g.mu.Lock()
		if line.Level == "WARN" || line.Level == "ERROR" || line.Level == "" {
			g.loud++
		}
		if g.lines = append(g.lines, lines.Text()); len(g.lines) > keptLines {
			g.lines = g.lines[1:]
		}
		g.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, logs)
	_ = g.cmd.Wait() // how it ended is told by its state
}

func (g *gateway) tail() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.lines, "\n")
}

// complaints is how many warnings and errors it logged.
func (g *gateway) complaints() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loud
}

// stop asks the gateway to end and returns how long that took.
func (g *gateway) stop() (time.Duration, error) {
	g.client.CloseIdleConnections()
	began := time.Now()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("stop the gateway: %w\n%s", err, g.tail())
	}
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	select {
	case <-g.exited:
	case <-limit.C:
		g.kill()
		return 0, fmt.Errorf("the gateway did not end within %v", stopWait)
	}
	took := time.Since(began)
	if !g.cmd.ProcessState.Success() {
		return took, fmt.Errorf("the gateway ended with %v:\n%s", g.cmd.ProcessState, g.tail())
	}
	return took, nil
}

// kill ends the gateway at once, if it still runs.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	<-g.exited
	g.client.CloseIdleConnections()
}

// cpu is its CPU time so far, in nanoseconds.
func (g *gateway) cpu() int64 { return readClock(processClock(g.cmd.Process.Pid)) }

// memory returns its resident memory in KiB and its threads.
func (g *gateway) memory() (kib, threads int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			kib, _ = strconv.Atoi(fields[1])
		case "Threads:":
			threads, _ = strconv.Atoi(fields[1])
		}
	}
	return kib, threads
}

func (g *gateway) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", g.api, path) }

// dial places a call over REST and returns its id.
func (g *gateway) dial(ctx context.Context, number string) (string, error) {
	body := strings.NewReader(`{"to":"` + number + `"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url("/call"), body)
	if err != nil {
		return "", fmt.Errorf("dial: %w", err)
	}
	var call struct {
		ID, Code, Detail string
	}
	res, err := g.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("dial: %w", err)
	}
	defer res.Body.Close()
	err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&call)
	if err != nil || res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("dial %s: %s %s %s: %w", number, res.Status, call.Code, call.Detail, errors.Join(err, errRefused))
	}
	return call.ID, nil
}

var errRefused = errors.New("the gateway refused")

// get copies what is at an address.
func (g *gateway) get(ctx context.Context, address string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("get %s: %w", address, err)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(to, res.Body); err != nil {
		return fmt.Errorf("get %s: %w", address, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s: %w", address, res.Status, errRefused)
	}
	return nil
}

// coreBusy is how long a core was busy since the start of the system, in nanoseconds; negative core: zero.
func coreBusy(core int) int64 {
	const jiffy = 1e7 // USER_HZ is 100 on Linux
	text, err := os.ReadFile("/proc/stat")
	if err != nil || core < 0 {
		return 0
	}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 9 || fields[0] != "cpu"+strconv.Itoa(core) {
			continue
		}
		var busy int64
		for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
			n, _ := strconv.ParseInt(field, 10, 64)
			if i != 3 && i != 4 {
				busy += n
			}
		}
		return busy * jiffy
	}
	return 0
}
