package registration

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/digest"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// kamailio is a running registrar; see testdata/kamailio.cfg.
type kamailio struct {
	t    *testing.T
	port int
	args []string
	log  *lockedBuffer
	cmd  *exec.Cmd
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startKamailio runs a registrar with switches such as "SHA256" and "NONCE=1".
func startKamailio(t *testing.T, defines ...string) *kamailio {
	t.Helper()
	if testing.Short() {
		t.Skip("real peers are left out with -short")
	}
	binary, err := exec.LookPath("kamailio")
	modules, _ := filepath.Glob("/usr/lib*/*/kamailio/modules/registrar.so")
	if err != nil || len(modules) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("kamailio is needed in CI: apt-get install kamailio kamailio-utils-modules")
		}
		t.Skip("SKIPPED, not tested against a real registrar: kamailio is not installed (apt-get install kamailio)")
	}
	k := &kamailio{t: t, port: freePort(t), log: &lockedBuffer{}}
	dir := t.TempDir()
	k.args = []string{
		binary, "-DD", "-E", "-f", "testdata/kamailio.cfg", "-m", "32", "-M", "4", "-Y", dir,
		"-L", filepath.Dir(modules[0]) + "/", "-A", "PORT=" + strconv.Itoa(k.port),
	}
	for _, d := range defines {
		k.args = append(k.args, "-A", d)
	}
	k.start()
	t.Cleanup(k.kill)
	return k
}

// freePort returns a port that is free for UDP and TCP at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return 0
}

func (k *kamailio) start() {
	k.t.Helper()
	k.cmd = exec.Command(k.args[0], k.args[1:]...)
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.eventually(10*time.Second, "kamailio answers", func() bool { return k.ask("nobody") != "" })
}

// in returns the same registrar for a subtest.
func (k *kamailio) in(t *testing.T) *kamailio {
	same := *k
	same.t = t
	return &same
}

func (k *kamailio) kill() {
	if k.cmd != nil {
		_ = k.cmd.Process.Signal(os.Interrupt)
		_ = k.cmd.Wait()
		k.cmd = nil
	}
}

// bound asks the registrar whether a user has a binding.
func (k *kamailio) bound(user string) bool { return k.ask(user) == "200" }

// ask sends an OPTIONS and returns the code of the answer, "" for none.
func (k *kamailio) ask(user string) string {
	conn, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", k.port))
	if err != nil {
		return ""
	}
	defer conn.Close()
	id := time.Now().UnixNano()
	fmt.Fprintf(conn, "OPTIONS sip:%s@test.invalid SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:q@test.invalid>;tag=q\r\nTo: <sip:%s@test.invalid>\r\nCall-ID: q%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		user, conn.LocalAddr(), id, user, id)
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(buf[:n]))
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}

func (k *kamailio) eventually(within time.Duration, what string, ok func() bool) {
	k.t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			k.t.Fatalf("not within %s: %s\nkamailio says:\n%s", within, what, k.log.String())
		}
	}
}

// phone is one registration on real sockets.
type phone struct {
	reg  *Registration
	stop func()
	logs *lockedBuffer
}

func (k *kamailio) phone(network, user, password string) *phone {
	k.t.Helper()
	p := &phone{logs: &lockedBuffer{}}
	logger := slog.New(slog.NewTextHandler(p.logs, nil))
	acc := account.Account{
		User: user, Password: password, Domain: "test.invalid", Server: fmt.Sprintf("127.0.0.1:%d", k.port),
		Transport: network, Expires: 10 * time.Second, Register: true,
	}
	var layer *transaction.Layer
	tr, err := transport.New(transport.Config{
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), Logger: logger,
		Receive: func(in transport.Incoming) { layer.Receive(in) },
		Broken: func(to transport.Target, err error) {
			layer.Broken(to, err)
			p.reg.Broken(to, err)
		},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	layer = transaction.New(transaction.Config{Transport: tr, Requests: func(*transaction.Server) {}, Logger: logger})
	p.reg = New(Config{
		Account: acc, Layer: layer, Transport: tr, Resolver: resolve.New(resolve.Config{}),
		Digest: digest.New(digest.Credentials{Username: user, Password: password}), Logger: logger,
	})
	below, endBelow := context.WithCancel(context.Background())
	above, endAbove := context.WithCancel(context.Background())
	var first, second sync.WaitGroup
	second.Go(func() { _ = tr.Run(below) })
	second.Go(func() { _ = layer.Run(below) })
	first.Go(func() { _ = p.reg.Run(above) })
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			endAbove()
			first.Wait()
			endBelow()
			second.Wait()
		})
	}
	k.t.Cleanup(p.stop)
	return p
}

func TestKamailioRegistersRefreshesAndForgetsUs(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			// A nonce lives one second: the refresh meets stale=true.
			k := startKamailio(t, algorithm, "NONCE=1")
			for network, user := range map[string]string{"udp": "alice", "tcp": "bob"} {
				t.Run(network, func(t *testing.T) {
					t.Parallel()
					k.in(t).phoneLife(network, user)
				})
			}
		})
	}
}

// phoneLife follows one registration from the first REGISTER to the last.
func (k *kamailio) phoneLife(network, user string) {
	k.t.Helper()
	p := k.phone(network, user, user+"-secret")
	k.eventually(5*time.Second, network+" registered", func() bool { return p.reg.Status().State == StateRegistered })
	s := p.reg.Status()
	path, err := p.reg.Path()
	if err != nil || path.Target.Network != network || !k.bound(user) {
		k.t.Errorf("path %+v, %v; bound %v", path, err, k.bound(user))
	}
	k.eventually(9*time.Second, network+" refreshed", func() bool { return p.reg.Status().Expires.After(s.Expires.Add(time.Second)) })
	p.stop()
	if k.bound(user) || p.reg.Status().State != StateUnregistered {
		k.t.Errorf("after the stop bound %v, state %s\n%s", k.bound(user), p.reg.Status().State, p.logs)
	}
}

func TestKamailioRefusesAWrongPassword(t *testing.T) {
	t.Parallel()
	k := startKamailio(t)
	p := k.phone("udp", "alice", "wrong")
	k.eventually(5*time.Second, "refused", func() bool { return p.reg.Status().Cause == CauseCredentials })
	if _, err := p.reg.Path(); err == nil || k.bound("alice") {
		t.Errorf("path error %v, bound %v", err, k.bound("alice"))
	}
}

func TestKamailioComesBackAfterADeath(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			k := startKamailio(t)
			p := k.phone(network, "alice", "alice-secret")
			k.eventually(5*time.Second, "registered", func() bool { return p.reg.Status().State == StateRegistered })
			k.kill()
			// On a connection the death shows at once, over UDP at the refresh.
			k.eventually(20*time.Second, "noticed", func() bool { s := p.reg.Status(); return s.State != StateRegistered || s.Attempts > 0 })
			k.start()
			back := time.Now()
			k.eventually(6*time.Second, "registered again", func() bool { return p.reg.Status().State == StateRegistered && k.bound("alice") })
			t.Logf("registered again %s after the return", time.Since(back).Round(time.Millisecond))
		})
	}
}
