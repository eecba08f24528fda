package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// provider is a running kamailio: registrar and proxy with digest.
type provider struct {
	*process
	dir           string
	port, tlsPort int
}

// startProvider runs a kamailio; defines are switches of testdata/kamailio.cfg, as "SHA256".
func startProvider(t *testing.T, defines ...string) *provider {
	t.Helper()
	return startProviderTo(t, freePort(t), defines...)
}

// startProviderTo is startProvider with the port that numbers beginning with 9 lead to.
func startProviderTo(t *testing.T, calleePort int, defines ...string) *provider {
	t.Helper()
	p := &provider{dir: t.TempDir(), port: freePort(t), tlsPort: freePort(t)}
	writeCertificate(t, p.dir)
	config, err := os.ReadFile("testdata/kamailio.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.ReplaceAll(config, []byte("@CALLEEPORT@"), []byte(strconv.Itoa(calleePort)))
	if err := os.WriteFile(filepath.Join(p.dir, "kamailio.cfg"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-DD", "-E", "-f", "kamailio.cfg", "-m", "64", "-M", "8", "-Y", p.dir, "-w", p.dir,
		"-L", modules(t, "kamailio/modules/tm.so") + "/",
		"-A", "PORT=" + strconv.Itoa(p.port), "-A", "TLSPORT=" + strconv.Itoa(p.tlsPort),
	}
	for _, define := range defines {
		args = append(args, "-A", define)
	}
	p.process = start(t, p.dir, nil, "kamailio", args...)
	eventually(t, 10*time.Second, "kamailio listens", func() (bool, string) {
		conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", p.tlsPort))
		if err != nil {
			return false, err.Error()
		}
		conn.Close()
		return true, ""
	})
	return p
}

// account is the environment of alice at this provider.
func (p *provider) account(network string) []string {
	env := []string{"SIP_USER=alice", "SIP_PASSWORD=alice-secret", "SIP_DOMAIN=test.invalid", "SIP_TRANSPORT=" + network}
	if network == "tls" {
		return append(env, fmt.Sprintf("SIP_SERVER=localhost:%d", p.tlsPort), "SIP_TLS_SERVER_NAME=localhost", "SIP_TLS_CA="+filepath.Join(p.dir, "cert.pem"))
	}
	return append(env, fmt.Sprintf("SIP_SERVER=127.0.0.1:%d", p.port))
}

// phone is a running baresip that is registered as bob and answers every call.
type phone struct {
	*process
	record  string
	control int // port that takes commands
}

// startPhone runs a baresip that speaks the samples (at 48 kHz) to whoever calls. What more it is to be told of its
// account may follow.
func startPhone(t *testing.T, p *provider, speech48k []int16, more ...string) *phone {
	t.Helper()
	dir := t.TempDir()
	ph := &phone{record: filepath.Join(dir, "record"), control: freePort(t)}
	if err := os.Mkdir(ph.record, 0o700); err != nil {
		t.Fatal(err)
	}
	speech := filepath.Join(dir, "speech.wav")
	writeStereo(t, speech, 48000, speech48k)
	config, err := os.ReadFile("testdata/baresip.config")
	if err != nil {
		t.Fatal(err)
	}
	rtp := freePort(t)
	filled := strings.NewReplacer(
		"@PORT@", strconv.Itoa(freePort(t)), "@CONTROL@", strconv.Itoa(ph.control), "@SPEECH@", speech, "@RECORD@", ph.record,
		"@MODULES@", modules(t, "baresip/modules/g711.so"), "@RTPFROM@", strconv.Itoa(rtp), "@RTPTO@", strconv.Itoa(rtp+portBlock-1),
	).Replace(string(config))
	account := fmt.Sprintf("<sip:bob@127.0.0.1:%d;transport=udp>;auth_user=bob;auth_pass=bob-secret;answermode=auto;regint=120%s\n", p.port, strings.Join(more, ""))
	for name, text := range map[string]string{"config": filled, "accounts": account, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// baresip ends at once when its standard input does, so it gets one that stays open.
	input, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { input.Close(); keep.Close() })
	ph.process = startWithInput(t, dir, input, "baresip", "-4", "-f", dir, "-n", "127.0.0.1", "-v")
	ph.waitOutput(t, "200 OK", 10*time.Second)
	return ph
}

// command has the phone do something, such as dial.
func (ph *phone) command(t *testing.T, command, params string) {
	t.Helper()
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", ph.control))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := json.Marshal(map[string]string{"command": command, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	// A netstring: length, colon, text, comma.
	if _, err := fmt.Fprintf(conn, "%d:%s,", len(text), text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// Events of the call may come before the answer.
	var answer []byte
	for part := make([]byte, 4096); !bytes.Contains(answer, []byte(`"response":true`)); {
		n, err := conn.Read(part)
		if err != nil {
			t.Fatalf("baresip does not answer %s %s: %q, %v", command, params, answer, err)
		}
		answer = append(answer, part[:n]...)
	}
	if !bytes.Contains(answer, []byte(`"ok":true`)) {
		t.Fatalf("baresip answers %s %s with %q", command, params, answer)
	}
}

// heard returns what the phone decoded in its last call, at the rate of its codec; the file is complete when the call
// has ended.
func (ph *phone) heard(t *testing.T) []int16 {
	t.Helper()
	var path string
	eventually(t, 5*time.Second, "the phone has written down what it heard", func() (bool, string) {
		files, err := filepath.Glob(filepath.Join(ph.record, "*-dec.wav"))
		if err != nil || len(files) == 0 {
			return false, fmt.Sprint(files, err)
		}
		path = files[len(files)-1]
		raw, err := os.ReadFile(path)
		// The sizes in the header are set when the file is closed.
		return err == nil && len(raw) > 44 && int(binary.LittleEndian.Uint32(raw[4:])) == len(raw)-8, fmt.Sprint(len(raw), err)
	})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte("data"))
	if at < 0 {
		t.Fatalf("%s has no data chunk", path)
	}
	data := raw[at+8:]
	pcm := make([]int16, len(data)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return pcm
}

// modules returns the folder that holds a module of a peer, which depends on the machine's architecture.
func modules(t *testing.T, name string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/", "/usr/lib/*/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return filepath.Dir(found[0])
		}
	}
	t.Fatalf("no %s below /usr/lib", name)
	return ""
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeStereo writes samples to both channels of a WAV.
func writeStereo(t *testing.T, path string, rate int, pcm []int16) {
	t.Helper()
	size := 4 * len(pcm)
	out := make([]byte, 0, 44+size)
	out = append(out, "RIFF"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(36+size))
	out = append(out, "WAVEfmt "...)
	out = binary.LittleEndian.AppendUint32(out, 16)
	out = binary.LittleEndian.AppendUint16(out, 1)
	out = binary.LittleEndian.AppendUint16(out, 2)
	out = binary.LittleEndian.AppendUint32(out, uint32(rate))
	out = binary.LittleEndian.AppendUint32(out, uint32(4*rate))
	out = binary.LittleEndian.AppendUint16(out, 4)
	out = binary.LittleEndian.AppendUint16(out, 16)
	out = append(out, "data"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(size))
	for _, v := range pcm {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate makes cert.pem and key.pem for localhost.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
