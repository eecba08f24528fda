// Package config reads the environment into one checked struct.
//
// Every setting is one field of Config with its variable name, default,
// sentence and example beside it; Load, WriteExample and WriteReference all work
// from these fields, so the program, .env.example and docs/configuration.md
// cannot differ. Nothing else in the program reads the environment.
package config

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config holds every setting after Load has checked it. Tags of a field:
// env (the variable), envDefault, doc (one sentence), example, form (how a value
// is read, see forms), expect (what to say when it is wrong), min, max, oneof,
// needed (the start stops without it), secret (never shown).
type Config struct {
	SIP     SIP     `group:"SIP account"`
	Media   Media   `group:"Audio on the phone side"`
	HTTP    HTTP    `group:"Doors for your software"`
	Dial    Dial    `group:"What may be called"`
	Inbound Inbound `group:"Calls that come in"`
	Sockets Sockets `group:"Audio sockets"`
	Run     Run     `group:"Running"`

	// Warnings are complete sentences about settings that work but deserve a
	// look; each names its variable and none contains a secret.
	Warnings []string `env:"-"`
}

// SIP is the account at the provider or PBX.
type SIP struct {
	Server        Server         `env:"SIP_SERVER" form:"server" needed:"yes" example:"sip.example.com" doc:"SIP server (registrar) of your provider, PBX or router, such as sip.fonial.de, sipgate.de or fritz.box; also host:port or a sip: URI."`
	User          string         `env:"SIP_USER" form:"user" needed:"yes" example:"4930123456" doc:"User name of the SIP account: the part before the @ of its SIP address, at some providers the phone number."`
	Password      Secret         `env:"SIP_PASSWORD" form:"secret" needed:"yes" example:"the-sip-password" doc:"Password of the SIP account, usually not the one of the provider's web site. Not needed with SIP_REGISTER=no or SIP_AUTH_USER=anonymous@…."`
	AuthUser      string         `env:"SIP_AUTH_USER" form:"text" example:"device-17" doc:"User name for authentication, where the provider gives a separate one. Empty: SIP_USER."`
	Domain        string         `env:"SIP_DOMAIN" form:"host" example:"example.com" doc:"Domain of the account, the part after the @ of its SIP address. Empty: the host of SIP_SERVER."`
	Realms        []string       `env:"SIP_REALMS" form:"list" example:"sip.example.com,pbx.example.com" doc:"Digest realms that may ask for the password, separated by commas, where the provider asks for calls under another name than for the registration. Empty: the realm of the registration."`
	Proxy         Server         `env:"SIP_PROXY" form:"server" example:"edge.example.com" doc:"Outbound proxy, where the provider names one. Empty: requests go to SIP_SERVER."`
	Transport     string         `env:"SIP_TRANSPORT" form:"enum" oneof:"udp|tcp|tls" envDefault:"udp" example:"tcp" doc:"How to reach the server, unless SIP_SERVER says it as a sip: URI."`
	DisplayName   string         `env:"SIP_DISPLAY_NAME" form:"text" example:"Example Ltd" doc:"Name shown to the callee, where the network passes it on."`
	CallerID      string         `env:"SIP_CALLER_ID" form:"text" example:"+4930123456" doc:"Number shown to the callee; it must belong to the account. Empty: the provider chooses."`
	CallerIDStyle string         `env:"SIP_CALLER_ID_STYLE" form:"enum" oneof:"from|pai|ppi|diversion|rpid" envDefault:"from" example:"pai" doc:"Where the provider looks for SIP_CALLER_ID: the From header, P-Asserted-Identity, P-Preferred-Identity, Diversion or Remote-Party-ID."`
	NumberStyle   string         `env:"SIP_NUMBER_STYLE" form:"enum" oneof:"plus|e164|00|national" envDefault:"plus" example:"national" doc:"How the provider wants numbers: plus (+4930123), e164 (4930123), 00 (004930123) or national (030123)."`
	Expires       time.Duration  `env:"SIP_EXPIRES" form:"duration" min:"60s" max:"24h" envDefault:"600s" example:"3600s" doc:"Lease to ask for when registering; the server may change it."`
	Bind          netip.AddrPort `env:"SIP_BIND" form:"bind" envDefault:"0.0.0.0:5060" example:"0.0.0.0:5080" doc:"Local address and port for SIP; port 0 takes any free one."`
	AllowFrom     []netip.Prefix `env:"SIP_ALLOW_FROM" form:"networks" example:"192.0.2.0/24,198.51.100.7" doc:"Addresses that may send SIP requests besides those of the server, separated by commas, where the provider ends calls from others. Strangers get no answer."`
	Register      bool           `env:"SIP_REGISTER" form:"bool" envDefault:"yes" example:"no" doc:"Register at the server; no for trunks that know you by your address."`
	TLSCA         string         `env:"SIP_TLS_CA" form:"pem" example:"/run/secrets/sip-ca.pem" doc:"Certificate authority to trust for SIP over TLS instead of the system's: a PEM file, or the PEM text itself."`
	TLSServerName string         `env:"SIP_TLS_SERVER_NAME" form:"host" example:"sip.example.com" doc:"Name that the server's certificate must carry, also sent as SNI. Empty: the account's domain."`
}

// Media is the RTP side of calls.
type Media struct {
	PublicIP   netip.Addr    `env:"PUBLIC_IP" form:"ip" example:"203.0.113.7" doc:"Address under which the phone network reaches this host, where NAT is static. Empty: learned from the SIP server."`
	RTPPorts   PortRange     `env:"RTP_PORTS" form:"ports" example:"40000-40019" doc:"UDP ports for audio, two per call. Empty: any free ports."`
	RTPTimeout time.Duration `env:"RTP_TIMEOUT" form:"duration" min:"5s" max:"24h" envDefault:"60s" example:"120s" doc:"A call in which no audio packet arrives for so long is ended."`
}

// HTTP is where REST and the WebSockets listen.
type HTTP struct {
	Bind          netip.Addr `env:"HTTP_BIND" form:"ip" example:"0.0.0.0" doc:"Local address of the three ports below. Empty: 127.0.0.1 without API_TOKEN, all addresses with one."`
	APIPort       uint16     `env:"API_PORT" form:"port" envDefault:"8085" example:"9085" doc:"Port of REST, documentation and health; 0 takes any free one."`
	SpeakPort     uint16     `env:"SPEAK_PORT" form:"port" envDefault:"8086" example:"9086" doc:"Port of the WebSocket that takes the audio to speak."`
	ListenPort    uint16     `env:"LISTEN_PORT" form:"port" envDefault:"8087" example:"9087" doc:"Port of the WebSocket that gives the audio heard."`
	PublicURLHost string     `env:"PUBLIC_URL_HOST" form:"host" example:"phone.example.com" doc:"Host to write into speak_url and listen_url. Empty: the host the request came to."`
	APIToken      Secret     `env:"API_TOKEN" form:"token" example:"a-long-random-text" doc:"When set, every request needs Authorization: Bearer with this token; only /health does not."`
}

// Dial is the dial policy and the limits of calls.
type Dial struct {
	Allow           []string      `env:"DIAL_ALLOW" form:"allow" example:"+43,+41" doc:"Numbers allowed beyond the default, separated by commas: prefixes (+43), numbers, short codes (112), SIP hosts (sip:example.com); + alone allows all countries. Premium, satellite and emergency numbers must be named themselves."`
	Country         string        `env:"DIAL_COUNTRY" form:"country" envDefault:"DE" example:"AT" doc:"Country whose numbers may be called, as two letters; numbers without a country code belong to it."`
	MaxCalls        int           `env:"MAX_CALLS" form:"int" min:"1" max:"10000" envDefault:"10" example:"2" doc:"Calls at the same time."`
	CallsPerMinute  int           `env:"CALLS_PER_MINUTE" form:"int" min:"1" max:"100000" envDefault:"30" example:"10" doc:"New calls within any 60 seconds."`
	MaxCallDuration time.Duration `env:"MAX_CALL_DURATION" form:"duration" min:"1s" max:"24h" envDefault:"1h" example:"10m" doc:"A call is ended after this time."`
	RingTimeout     time.Duration `env:"RING_TIMEOUT" form:"duration" min:"1s" max:"10m" envDefault:"60s" example:"30s" doc:"A call that nobody answers is given up after this time."`
}

// Inbound is what becomes of calls that come in.
type Inbound struct {
	Mode           string `env:"INBOUND" form:"enum" oneof:"reject|accept|ask" envDefault:"reject" example:"accept" doc:"Calls that come in: reject them (480), accept them, or ask INBOUND_WEBHOOK_URL. They count against MAX_CALLS and CALLS_PER_MINUTE."`
	Answer         string `env:"INBOUND_ANSWER" form:"enum" oneof:"socket|now" envDefault:"socket" example:"now" doc:"When an accepted call is answered: once an audio socket is there (it rings until then, for RING_TIMEOUT at most), or now."`
	WebhookURL     string `env:"INBOUND_WEBHOOK_URL" form:"url" example:"https://bot.example.com/calls" doc:"Whom to ask with INBOUND=ask: gets a signed POST (Standard Webhooks) and has 5 seconds to answer."`
	WebhookSecret  Secret `env:"INBOUND_WEBHOOK_SECRET" form:"key" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" doc:"Key that signs the questions: base64 of 24 to 64 random bytes, with or without whsec_ before it. Make one with: openssl rand -base64 32."`
	WebhookPrivate bool   `env:"INBOUND_WEBHOOK_PRIVATE" form:"bool" envDefault:"no" example:"yes" doc:"Let INBOUND_WEBHOOK_URL be at a private or loopback address."`
	Fallback       string `env:"INBOUND_FALLBACK" form:"enum" oneof:"reject|accept" envDefault:"reject" example:"accept" doc:"What becomes of a call when the webhook does not decide."`
}

// Sockets are the speak and listen WebSockets.
type Sockets struct {
	OnDisconnect      string        `env:"ON_DISCONNECT" form:"enum" oneof:"keep|hangup" envDefault:"keep" example:"hangup" doc:"What becomes of a call when its last audio socket goes: keep it for DISCONNECT_TIMEOUT, or hang up at once."`
	DisconnectTimeout time.Duration `env:"DISCONNECT_TIMEOUT" form:"duration" min:"1s" max:"24h" envDefault:"5m" example:"30s" doc:"How long a call goes on without any audio socket when ON_DISCONNECT=keep."`
	SpeakEarlyLimit   time.Duration `env:"SPEAK_EARLY_LIMIT" form:"duration" min:"0s" max:"10m" envDefault:"60s" example:"10s" doc:"How much speech sent before the answer is kept; it starts at the answer."`
	SpeakQueueLimit   time.Duration `env:"SPEAK_QUEUE_LIMIT" form:"duration" min:"1s" max:"1h" envDefault:"10m" example:"2m" doc:"How much speech may wait in a call; more is refused with an error event."`
	ListenBacklog     time.Duration `env:"LISTEN_BACKLOG" form:"duration" min:"0s" max:"5m" envDefault:"10s" example:"30s" doc:"How much of what the callee says is kept until the first listener connects."`
}

// Run is how the process logs and stops.
type Run struct {
	DrainTimeout time.Duration  `env:"DRAIN_TIMEOUT" form:"duration" min:"0s" max:"24h" envDefault:"20s" example:"5m" doc:"After SIGTERM, how long running calls may go on before they are hung up."`
	StateDir     string         `env:"STATE_DIR" form:"dir" example:"/var/lib/phonesocket" doc:"Directory for the journal of running calls, from which a restart after a crash ends them; for this process alone. Empty: no journal, and a crash leaves calls up until the provider ends them."`
	LogLevel     string         `env:"LOG_LEVEL" form:"enum" oneof:"debug|info|warn|error" envDefault:"info" example:"debug" doc:"Least important log line to write."`
	LogFormat    string         `env:"LOG_FORMAT" form:"enum" oneof:"text|json" envDefault:"text" example:"json" doc:"Form of the log lines."`
	DebugListen  netip.AddrPort `env:"DEBUG_LISTEN" form:"loopback" example:"127.0.0.1:6060" doc:"Where to serve profiles (net/http/pprof), on this host only; needs a binary that was built with -tags debug."`
}

// Listen returns the address for net.Listen on the given port: HTTP_BIND, or
// when that is empty loopback without API_TOKEN and all addresses with one.
func (h HTTP) Listen(port uint16) string {
	p := strconv.Itoa(int(port))
	switch {
	case h.Bind.IsValid():
		return net.JoinHostPort(h.Bind.String(), p)
	case h.APIToken.Empty():
		return net.JoinHostPort("127.0.0.1", p)
	default:
		return net.JoinHostPort("", p)
	}
}

// Public says whether others than this host can reach the three doors.
func (h HTTP) Public() bool {
	if h.Bind.IsValid() {
		return !h.Bind.IsLoopback()
	}
	return !h.APIToken.Empty()
}

// HealthURL returns the address of /health as a process on the same host
// reaches it.
func (h HTTP) HealthURL() string {
	host := "127.0.0.1"
	if h.Bind.IsValid() && !h.Bind.IsUnspecified() {
		host = h.Bind.String()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(h.APIPort))) + "/health"
}
