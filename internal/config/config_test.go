package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// account is the smallest environment that starts.
func account(more ...string) []string {
	return append([]string{"SIP_SERVER=sip.example.com", "SIP_USER=alice", "SIP_PASSWORD=hunter2hunter2"}, more...)
}

// files stands in for the file system.
func files(content map[string]string) func(string) (string, error) {
	return func(path string) (string, error) {
		if text, ok := content[path]; ok {
			return text, nil
		}
		return "", fs.ErrNotExist
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := Load(account("PATH=/bin", "HOME=/root"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		SIP: SIP{
			Server: Server{Host: "sip.example.com"}, User: "alice", Password: NewSecret("hunter2hunter2"),
			AuthUser: "alice", Domain: "sip.example.com", Transport: "udp", CallerIDStyle: "from", NumberStyle: "plus",
			Expires: 10 * time.Minute, Bind: netip.MustParseAddrPort("0.0.0.0:5060"), Register: true,
		},
		Media: Media{RTPTimeout: time.Minute},
		HTTP:  HTTP{APIPort: 8085, SpeakPort: 8086, ListenPort: 8087},
		Dial: Dial{
			Country: "DE", MaxCalls: 10, CallsPerMinute: 30,
			MaxCallDuration: time.Hour, RingTimeout: time.Minute,
		},
		Inbound: Inbound{Mode: "reject", Answer: "socket", Fallback: "reject"},
		Sockets: Sockets{
			OnDisconnect: "keep", DisconnectTimeout: 5 * time.Minute, SpeakEarlyLimit: time.Minute,
			SpeakQueueLimit: 10 * time.Minute, ListenBacklog: 10 * time.Second,
		},
		Run: Run{DrainTimeout: 20 * time.Second, LogLevel: "info", LogFormat: "text"},
	}
	if diff := cmp.Diff(want, cfg, cmp.AllowUnexported(Secret{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestValuesAreReadAsPeopleWriteThem(t *testing.T) {
	get := map[string]func(*Config) any{
		"RTP_TIMEOUT":     func(c *Config) any { return c.Media.RTPTimeout },
		"SIP_SERVER":      func(c *Config) any { return c.SIP.Server },
		"SIP_TRANSPORT":   func(c *Config) any { return c.SIP.Transport },
		"SIP_BIND":        func(c *Config) any { return c.SIP.Bind.String() },
		"SIP_REGISTER":    func(c *Config) any { return c.SIP.Register },
		"SIP_USER":        func(c *Config) any { return c.SIP.User },
		"SIP_DOMAIN":      func(c *Config) any { return c.SIP.Domain },
		"SIP_PASSWORD":    func(c *Config) any { return c.SIP.Password.Reveal() },
		"DEBUG_LISTEN":    func(c *Config) any { return c.Run.DebugListen.String() },
		"RTP_PORTS":       func(c *Config) any { return c.Media.RTPPorts },
		"PUBLIC_IP":       func(c *Config) any { return c.Media.PublicIP.String() },
		"SIP_REALMS":      func(c *Config) any { return c.SIP.Realms },
		"SIP_ALLOW_FROM":  func(c *Config) any { return fmt.Sprint(c.SIP.AllowFrom) },
		"DIAL_ALLOW":      func(c *Config) any { return c.Dial.Allow },
		"DIAL_COUNTRY":    func(c *Config) any { return c.Dial.Country },
		"ON_DISCONNECT":   func(c *Config) any { return c.Sockets.OnDisconnect },
		"API_PORT":        func(c *Config) any { return c.HTTP.APIPort },
		"PUBLIC_URL_HOST": func(c *Config) any { return c.HTTP.PublicURLHost },
	}
	for _, tc := range []struct {
		entry string
		want  any
	}{
		{"RTP_TIMEOUT=60s", time.Minute},
		{"RTP_TIMEOUT=1m", time.Minute},
		{"RTP_TIMEOUT=90", 90 * time.Second},
		{"RTP_TIMEOUT= 1m30s ", 90 * time.Second},
		{"RTP_TIMEOUT=", time.Minute},
		{"SIP_SERVER=SIP.Example.com.", Server{Host: "sip.example.com"}},
		{"SIP_SERVER=sip.example.com:5070", Server{Host: "sip.example.com", Port: 5070}},
		{"SIP_SERVER=sip:sip.example.com;transport=tcp", Server{Host: "sip.example.com", Transport: "tcp"}},
		{"SIP_SERVER=sips:sip.example.com", Server{Host: "sip.example.com", Transport: "tls"}},
		{"SIP_SERVER=sips:sip.example.com;transport=tcp", Server{Host: "sip.example.com", Transport: "tls"}},
		{"SIP_SERVER=sip://sip.example.com:5060", Server{Host: "sip.example.com", Port: 5060}},
		{"SIP_SERVER=sip:5070", Server{Host: "sip", Port: 5070}},
		{"SIP_SERVER=192.168.178.1", Server{Host: "192.168.178.1"}},
		{"SIP_SERVER=2001:db8::1", Server{Host: "2001:db8::1"}},
		{"SIP_SERVER=[2001:db8::1]:5061", Server{Host: "2001:db8::1", Port: 5061}},
		{"SIP_TRANSPORT=TCP", "tcp"},
		{"SIP_BIND=0.0.0.0:0", "0.0.0.0:0"},
		{"SIP_BIND=:5080", "0.0.0.0:5080"},
		{"SIP_BIND=5080", "0.0.0.0:5080"},
		{"SIP_BIND=192.0.2.1", "192.0.2.1:5060"},
		{"SIP_BIND=[::]:5060", "[::]:5060"},
		{"SIP_BIND=localhost:5080", "127.0.0.1:5080"},
		{"DEBUG_LISTEN=localhost:6060", "127.0.0.1:6060"},
		{"DEBUG_LISTEN=[::1]:6060", "[::1]:6060"},
		{"SIP_REGISTER=No", false},
		{"SIP_REGISTER=on", true},
		{"SIP_REALMS=asterisk, Realm of calls", []string{"asterisk", "Realm of calls"}},
		{"SIP_REALMS=", []string(nil)},
		{"SIP_ALLOW_FROM=192.0.2.77/24, 198.51.100.7 ,[2001:db8::1]", "[192.0.2.0/24 198.51.100.7/32 2001:db8::1/128]"},
		{"SIP_ALLOW_FROM=::ffff:192.0.2.1", "[192.0.2.1/32]"},
		{"SIP_ALLOW_FROM=", "[]"},
		{"SIP_USER=+4930123456", "+4930123456"},
		{"SIP_DOMAIN=Example.COM", "example.com"},
		{"SIP_PASSWORD= spaces = kept ", " spaces = kept "},
		{"RTP_PORTS=40000-40019", PortRange{40000, 40019}},
		{"PUBLIC_IP=203.0.113.7", "203.0.113.7"},
		{"PUBLIC_IP=[2001:db8::7]", "2001:db8::7"},
		{"DIAL_ALLOW= +43, +41 ,,112;sip:example.com", []string{"+43", "+41", "112", "sip:example.com"}},
		{"DIAL_COUNTRY=at", "AT"},
		{"ON_DISCONNECT=HangUp", "hangup"},
		{"API_PORT=0", uint16(0)},
		{"PUBLIC_URL_HOST=[2001:db8::7]", "2001:db8::7"},
	} {
		t.Run(tc.entry, func(t *testing.T) {
			cfg, err := Load(account(tc.entry))
			if err != nil {
				t.Fatal(err)
			}
			name, _, _ := strings.Cut(tc.entry, "=")
			if diff := cmp.Diff(tc.want, get[name](cfg)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wrong lists environments with the words their one message must hold.
var wrong = []struct {
	name    string
	environ []string
	want    []string
}{
	{"nothing set names all three", nil, []string{"3 settings", "SIP_SERVER is missing", "sip.example.com", "SIP_USER is missing", "SIP_PASSWORD is missing", "SIP_PASSWORD_FILE"}},
	{"password missing", []string{"SIP_SERVER=a.example", "SIP_USER=u"}, []string{"one setting", "SIP_PASSWORD is missing"}},
	{"password empty", []string{"SIP_SERVER=a.example", "SIP_USER=u", "SIP_PASSWORD="}, []string{"SIP_PASSWORD is missing"}},
	{"all problems at once", account("SIP_TRANSPORT=sctp", "RTP_TIMEOUT=soon", "MAX_CALLS=0", "SIP_EXPIRE=60"), []string{
		"4 settings", `SIP_TRANSPORT="sctp"`, "udp, tcp or tls", `RTP_TIMEOUT="soon"`, "from 5s to 24h",
		`MAX_CALLS="0"`, "from 1 to 10000", "SIP_EXPIRE is not a setting; did you mean SIP_EXPIRES?",
	}},
	{"typing error in the password's name", account("SIP_PASSWROD=x"), []string{"SIP_PASSWROD is not a setting; did you mean SIP_PASSWORD?"}},
	{"lower case", account("sip_transport=tcp"), nil},
	{"another program's name", account("SIP_USERNAME=x"), []string{"did you mean SIP_USER?"}},
	{"a port of its own", account("SIP_PORT=5060"), []string{"write the port into SIP_SERVER"}},
	{"nothing like it", account("SIP_FROBNICATE=1"), []string{"SIP_FROBNICATE is not a setting; remove it"}},
	{"file variant mistyped", account("SIP_PASWORD_FILE=/x"), []string{"did you mean SIP_PASSWORD_FILE?"}},
	{"server with a user", account("SIP_SERVER=sip:alice@example.com"), []string{"SIP_USER"}},
	{"server with a bad port", account("SIP_SERVER=example.com:70000"), []string{"1 to 65535"}},
	{"server with a strange transport", account("SIP_SERVER=sip:example.com;transport=ws"), []string{`"ws" is not udp, tcp or tls`}},
	{"server over sips and udp", account("SIP_SERVER=sips:example.com;transport=udp"), []string{"sips: cannot go over udp"}},
	{"server is a URL", account("SIP_SERVER=https://example.com"), []string{"SIP_SERVER"}},
	{"server is half an IP address", account("SIP_SERVER=192.168.1"), []string{"neither an IP address nor a host name"}},
	{"user with a domain", account("SIP_USER=alice@example.com"), []string{"SIP_DOMAIN"}},
	{"transports differ", account("SIP_SERVER=sip:example.com;transport=tcp", "SIP_TRANSPORT=tls"), []string{`SIP_TRANSPORT="tls" contradicts SIP_SERVER`}},
	{"proxy transport differs", account("SIP_PROXY=sip:p.example;transport=tcp"), []string{"SIP_PROXY", "says transport tcp"}},
	{"value and file", account("SIP_PASSWORD_FILE=/run/secrets/pw"), []string{"SIP_PASSWORD_FILE is set together with SIP_PASSWORD"}},
	{"file missing", []string{"SIP_SERVER=a.example", "SIP_USER=u", "SIP_PASSWORD_FILE=/none"}, []string{`SIP_PASSWORD_FILE="/none"`, "file does not exist", "one setting"}},
	{"file empty", []string{"SIP_SERVER=a.example", "SIP_USER=u", "SIP_PASSWORD_FILE=/empty"}, []string{"the file is empty"}},
	{"too few RTP ports", account("RTP_PORTS=40000-40009"), []string{"holds 10 ports", "MAX_CALLS=10 needs 20", "40000-40019", "MAX_CALLS=5"}},
	{"RTP ports backwards", account("RTP_PORTS=40019-40000"), []string{"the last port is before the first"}},
	{"RTP ports with SIP's", account("RTP_PORTS=5050-5090"), []string{"contains port 5060 of SIP_BIND"}},
	{"profiles for the world", account("DEBUG_LISTEN=0.0.0.0:6060"), []string{`DEBUG_LISTEN="0.0.0.0:6060"`, "other hosts", "a loopback address"}},
	{"profiles at a lone port", account("DEBUG_LISTEN=6060"), []string{`DEBUG_LISTEN="6060"`, "such as 127.0.0.1:6060"}},
	{"doors on one port", account("SPEAK_PORT=8085"), []string{`SPEAK_PORT=8085 is also API_PORT`}},
	{"a realm that ends the header", account(`SIP_REALMS=a",b`), []string{"SIP_REALMS", "a SIP header cannot carry"}},
	{"a name where addresses are wanted", account("SIP_ALLOW_FROM=sip.example.com"), []string{`names "sip.example.com"`, "neither an IP address nor a network", "such as 192.0.2.0/24"}},
	{"the whole world let in", account("SIP_ALLOW_FROM=0.0.0.0/0"), []string{`names "0.0.0.0/0"`, "let everybody in"}},
	{"country name", account("DIAL_COUNTRY=Germany"), []string{`DIAL_COUNTRY="Germany"`, "two letters"}},
	{"country that does not exist", account("DIAL_COUNTRY=XX"), []string{`DIAL_COUNTRY="XX"`, "no country"}},
	{"allow list separated by spaces", account("DIAL_ALLOW=+43 +41"), []string{`DIAL_ALLOW="+43 +41"`, "separate entries by commas"}},
	{"allow list with a word", account("DIAL_ALLOW=+43,everything"), []string{`DIAL_ALLOW="everything"`, "letters"}},
	{"token with a space is masked", account("API_TOKEN=my secret"), []string{"API_TOKEN=********", "without spaces"}},
	{"line break in a header value", account("SIP_DISPLAY_NAME=a\r\nVia: x"), []string{"SIP_DISPLAY_NAME contains a line break"}},
	{"line break in the password", account("SIP_PASSWORD=a\nb"), []string{"SIP_PASSWORD contains a line break"}},
	{"public address of nobody", account("PUBLIC_IP=0.0.0.0"), []string{"PUBLIC_IP", "not the address of a host"}},
	{"certificate file missing", account("SIP_TLS_CA=/none"), []string{`SIP_TLS_CA="/none"`, "file does not exist"}},
	{"certificate file without one", account("SIP_TLS_CA=/junk"), []string{"holds no certificate"}},
	{"key instead of certificate", account("SIP_TLS_CA=-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), []string{"holds a private key"}},
	{"duration too long", account("RING_TIMEOUT=1h"), []string{"is out of range; expected a duration from 1s to 10m"}},
	{"infinite duration", account("RING_TIMEOUT=inf"), []string{"is not a duration"}},
}

func TestWrongSettingsAreNamedInOneMessage(t *testing.T) {
	read := files(map[string]string{"/empty": "\n", "/junk": "no certificate", "/run/secrets/pw": "x"})
	for _, tc := range wrong {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.environ, read)
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in:\n%v", want, err)
				}
			}
			for _, secret := range []string{"hunter2", "my secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shows the secret %q:\n%v", secret, err)
				}
			}
		})
	}
}

func TestValuesComeFromFiles(t *testing.T) {
	read := files(map[string]string{"/pw": "s3cret \n", "/crlf": "tcp\r\n", "/token": "0123456789abcdef"})
	cfg, err := load([]string{
		"SIP_SERVER=a.example", "SIP_USER=u", "SIP_PASSWORD_FILE=/pw", "SIP_TRANSPORT_FILE=/crlf", "API_TOKEN_FILE=/token",
	}, read)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.SIP.Password.Reveal(); got != "s3cret " {
		t.Errorf("password %q: only the line break may go", got)
	}
	if cfg.SIP.Transport != "tcp" || cfg.HTTP.APIToken.Reveal() != "0123456789abcdef" {
		t.Errorf("transport %q, token %q", cfg.SIP.Transport, cfg.HTTP.APIToken.Reveal())
	}
}

func TestPasswordIsNotNeededWhereTheLineIsTheProof(t *testing.T) {
	for _, entry := range []string{"SIP_REGISTER=no", "SIP_AUTH_USER=anonymous@t-online.de"} {
		if _, err := Load([]string{"SIP_SERVER=a.example", "SIP_USER=u", entry}); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name  string
		entry []string
		want  string // empty: no warning at all
	}{
		{"nothing special", nil, ""},
		{"TLS at the port of UDP", []string{"SIP_TRANSPORT=tls", "SIP_SERVER=a.example:5060"}, "5061"},
		{"UDP at the port of TLS", []string{"SIP_SERVER=a.example:5061"}, "SIP_TRANSPORT=tls"},
		{"TLS name without TLS", []string{"SIP_TLS_SERVER_NAME=a.example"}, "no effect"},
		{"open doors", []string{"HTTP_BIND=0.0.0.0"}, "API_TOKEN"},
		{"open doors with a token", []string{"HTTP_BIND=0.0.0.0", "API_TOKEN=0123456789abcdef"}, ""},
		{"short token", []string{"API_TOKEN=abc"}, "shorter than 16"},
		{"emergency numbers allowed", []string{"DIAL_ALLOW=+43,112"}, "DIAL_ALLOW names 112"},
		{"short numbers allowed", []string{"DIAL_ALLOW=+43,1123"}, ""},
		{"quotes", []string{`SIP_DISPLAY_NAME='Example'`}, "quotes"},
		{"other prefixes only warn", []string{"RTP_PORT=40000"}, "did you mean RTP_PORTS?"},
		{"one letter off without a prefix", []string{"MAX_CALL=3"}, "did you mean MAX_CALLS?"},
		{"a proxy for HTTP is not ours", []string{"HTTP_PROXY=http://proxy.example:3128"}, ""},
		{"Kubernetes' names are not ours", []string{
			"API_SERVICE_HOST=10.0.0.1", "API_PORT_8085_TCP=tcp://10.0.0.1:8085", "API_PORT_8085_TCP_ADDR=10.0.0.1",
			"SIP_SERVICE_PORT=5060", "SIP_PORT_5060_UDP_PROTO=udp", "SIP_PORT=udp://10.0.0.1:5060",
		}, ""},
		{"Kubernetes' API_PORT is not a port", []string{"API_PORT=tcp://10.0.0.1:80"}, "enableServiceLinks"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := Load(account(tc.entry...))
			if err != nil {
				t.Fatal(err)
			}
			if cfg.HTTP.APIPort != 8085 {
				t.Errorf("API_PORT %d", cfg.HTTP.APIPort)
			}
			got := strings.Join(cfg.Warnings, "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("warnings %q, want one with %q", got, tc.want)
			}
		})
	}
}

func TestDoorsOpenOnlyAsFarAsTheTokenAllows(t *testing.T) {
	for _, tc := range []struct {
		name, bind, token string
		listen, health    string
		public            bool
	}{
		{"no token: loopback", "", "", "127.0.0.1:8085", "http://127.0.0.1:8085/health", false},
		{"token: everywhere", "", "t", ":8085", "http://127.0.0.1:8085/health", true},
		{"everywhere by wish", "0.0.0.0", "", "0.0.0.0:8085", "http://127.0.0.1:8085/health", true},
		{"one address", "192.0.2.1", "t", "192.0.2.1:8085", "http://192.0.2.1:8085/health", true},
		{"loopback of IPv6", "::1", "t", "[::1]:8085", "http://[::1]:8085/health", false},
		{"loopback by name", "localhost", "", "127.0.0.1:8085", "http://127.0.0.1:8085/health", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := Load(account("HTTP_BIND="+tc.bind, "API_TOKEN="+tc.token))
			if err != nil {
				t.Fatal(err)
			}
			h := cfg.HTTP
			if h.Listen(h.APIPort) != tc.listen || h.HealthURL() != tc.health || h.Public() != tc.public {
				t.Errorf("got %s %s %t", h.Listen(h.APIPort), h.HealthURL(), h.Public())
			}
		})
	}
}

func TestHealthNeedsNoAccount(t *testing.T) {
	h, err := LoadHTTP([]string{"API_PORT=9085", "HTTP_BIND=192.0.2.1", "SIP_TRANSPORT=nonsense", "API_TOKEN_FILE=/none"})
	if err != nil || h.HealthURL() != "http://192.0.2.1:9085/health" {
		t.Errorf("%s, %v", h.HealthURL(), err)
	}
	if _, err := LoadHTTP([]string{"API_PORT=x"}); err == nil || !strings.Contains(err.Error(), "API_PORT") {
		t.Error(err)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	cfg, err := Load(account())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "password", cfg.SIP.Password, "config", cfg.SIP)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "password", cfg.SIP.Password, "config", cfg.SIP)
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log.Write(encoded)
	hidden := struct{ inner Secret }{cfg.SIP.Password}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		fmt.Fprintf(&log, verb, cfg.SIP.Password)
		fmt.Fprintf(&log, verb, cfg.SIP)
		fmt.Fprintf(&log, verb, &cfg.SIP.Password)
		fmt.Fprintf(&log, verb, hidden)
	}
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("the password is in %s", log.String())
		}
	}
	if !strings.Contains(log.String(), "********") {
		t.Error("nothing was masked")
	}
}

func TestLoggerFollowsTheSettings(t *testing.T) {
	var out strings.Builder
	log := Run{LogLevel: "warn", LogFormat: "json"}.Logger(&out)
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) {
		t.Error(got)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("SIP_SERVER=sip:[::1]:5060;transport=tcp\x00SIP_USER=u\x00SIP_PASSWORD=p")
	f.Add("SIP_SERVER_FILE=/a\x00RTP_PORTS=1-65535\x00MAX_CALLS=9999\x00SIP_TLS_CA=-----BEGIN CERTIFICATE-----")
	f.Add("RING_TIMEOUT=1e300\x00SIP_BIND=::\x00HTTP_BIND=fe80::1%eth0\x00DIAL_ALLOW=,,;")
	for _, tc := range wrong {
		f.Add(strings.Join(tc.environ, "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		environ := append(strings.Split(joined, "\x00"), "API_TOKEN=canary canary canary")
		_, err := load(environ, files(map[string]string{"/a": joined}))
		if err == nil {
			t.Fatal("a token with spaces was taken")
		}
		if strings.Contains(strings.ReplaceAll(err.Error(), joined, ""), "canary canary canary") && !strings.Contains(joined, "canary") {
			t.Fatalf("the token is in %v", err)
		}
	})
}
