package phonenet

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Config says what the network is like. The zero value of every field but Users is usable.
type Config struct {
	Bind      netip.AddrPort    // address of SIP and RTP; zero means 127.0.0.1 and a port chosen by the kernel
	Network   string            // "udp", "tcp" or "tls", or several ("udp,tcp") on one port number; empty means udp
	TLS       *tls.Config       // certificate for "tls"
	Users     map[string]string // user name to password; they may register and call
	Aliases   map[string]string // name of an account to the user whose credentials it needs, where they differ
	Realm     string            // digest realm; empty means "phonenet"
	Algorithm string            // "MD5" or "SHA-256", or several in the order in which they are offered ("SHA-256,MD5"); unknown names are offered too; empty means MD5

	NonceLifetime time.Duration // after it a right answer is stale=true; zero means 5 minutes
	MaxExpires    time.Duration // longest lease granted; zero means 1 hour
	MinExpires    time.Duration // a shorter wish is refused with 423; zero means none is

	Codecs      []string      // the callees' codecs, the offer's order decides; nil means PCMA and PCMU
	Ptime       time.Duration // length of a packet sent, 10 to 60 ms; zero means 20 ms
	Phrase      []int16       // what the speaker says, 8 kHz; nil means the built-in phrase
	Record      time.Duration // heard audio kept per call, from its beginning; zero means 60 s, negative none
	MaxCalls    int           // running calls; more get 503; zero means 100
	MaxDuration time.Duration // of an answered call; zero means 2 hours
	RTPTimeout  time.Duration // an answered call without any RTP for so long is ended, not while held; zero means 60 s, negative never
	RingLimit   time.Duration // a call that nobody answers gets 480 after it; zero means 3 minutes
	History     int           // ended calls remembered; zero means 100
	T1          time.Duration // RFC 3261 17.1.1.1; zero means 500 ms

	Scripts   map[string]Script // more callees, by three digits or by name; they replace the built-in ones
	Lose      Lose              // loses single messages; nil loses none
	Behaviour Behaviour         // how the registrar misbehaves from the start; SetBehaviour changes it
	Logger    *slog.Logger      // nil means no log
}

// Lose decides about one SIP message, sent or received, whether the network
// loses it: the text is as on the wire. It runs on the loop and must not block.
type Lose func(sent bool, text string) bool

// Behaviour is how the network misbehaves. The zero value is an honest network.
type Behaviour struct {
	Deaf            bool           // nothing is answered and nothing is heard, as if the cable were cut
	RegisterStatus  int            // every REGISTER gets this status instead of a lease, after the right credentials
	InviteStatus    int            // every new INVITE gets this status, before any challenge
	RetryAfter      time.Duration  // Retry-After of RegisterStatus and InviteStatus; zero means no such header
	WrongPassword   int            // status for a wrong password; zero means a fresh challenge (401, 407)
	ForgetContact   bool           // the 200 to a REGISTER names only a foreign binding
	GrantExpires    time.Duration  // the lease granted whatever was asked; zero means as asked
	PretendReceived netip.AddrPort // received and rport as seen through a NAT; zero means the truth
	StrictDigestURI bool           // a digest URI unlike the Request-URI is refused with 400
	ChallengeBye    bool           // BYE gets a 407 first
	NoQop           bool           // challenges without qop, as RFC 2069 had them
}

// withDefaults fills in what is zero and refuses what makes no sense.
func (c Config) withDefaults() (Config, error) {
	if !c.Bind.Addr().IsValid() {
		c.Bind = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), c.Bind.Port())
	}
	c.Network = strings.ToLower(cmp.Or(c.Network, "udp"))
	for network := range strings.SplitSeq(c.Network, ",") {
		switch network {
		case "udp", "tcp":
		case "tls":
			if c.TLS == nil {
				return c, fmt.Errorf("network tls needs Config.TLS with a certificate")
			}
		default:
			return c, fmt.Errorf("network %q is not known: use udp, tcp or tls", network)
		}
	}
	c.Realm = cmp.Or(c.Realm, "phonenet")
	c.Algorithm = cmp.Or(c.Algorithm, algorithmMD5)
	c.NonceLifetime = cmp.Or(c.NonceLifetime, 5*time.Minute)
	c.MaxExpires = cmp.Or(c.MaxExpires, time.Hour)
	c.Ptime = cmp.Or(c.Ptime, 20*time.Millisecond)
	if c.Ptime < 10*time.Millisecond || c.Ptime > 60*time.Millisecond || c.Ptime%(10*time.Millisecond) != 0 {
		return c, fmt.Errorf("ptime %s is not possible: use 10 to 60 ms in steps of 10", c.Ptime)
	}
	if c.Codecs == nil {
		c.Codecs = []string{codecPCMA, codecPCMU}
	}
	for _, name := range c.Codecs {
		if _, ok := codecByName(name); !ok {
			return c, fmt.Errorf("codec %q is not known: use PCMA or PCMU", name)
		}
	}
	c.Record = cmp.Or(c.Record, time.Minute)
	c.MaxCalls = cmp.Or(c.MaxCalls, 100)
	c.MaxDuration = cmp.Or(c.MaxDuration, 2*time.Hour)
	c.RTPTimeout = cmp.Or(c.RTPTimeout, time.Minute)
	c.RingLimit = cmp.Or(c.RingLimit, 3*time.Minute)
	c.History = cmp.Or(c.History, 100)
	c.T1 = cmp.Or(c.T1, 500*time.Millisecond)
	if c.Phrase == nil {
		c.Phrase = phrase()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
