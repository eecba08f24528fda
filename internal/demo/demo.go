// Package demo runs the gateway beside a telephone network in a box, so that a first call needs no account.
//
// Serve leaves both running for curl; Check makes a whole call by itself and
// proves that the sound came through. Both work offline and without privileges:
// everything stays on loopback.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"phonesocket/internal/config"
	"phonesocket/internal/gateway"
	"phonesocket/internal/phonenet"
)

// user is the account of the demo.
const user = "demo"

// Config says how the demo is run.
type Config struct {
	Version string    // of the program
	Environ []string  // as os.Environ gives it; of the settings all but those of the account, of RTP and of dialling count in Serve, the log ones in Check
	Out     io.Writer // lines for the user
	Log     io.Writer // log lines of the gateway
}

// pair is a phone network with a gateway that is its customer.
type pair struct {
	net     *phonenet.Net
	gateway *gateway.Gateway
	log     *slog.Logger
	where   gateway.Addresses
	token   string
	done    chan struct{} // closed when the gateway has ended
	err     error         // why, after done
	stop    context.CancelFunc
}

// settings turns the environment into that of the demo's gateway. Those of a
// real account must not leak into it, and what would keep it off loopback neither.
func settings(environ []string, keep func(name string) bool, own map[string]string) []string {
	var list []string
	for _, entry := range environ {
		name, _, ok := strings.Cut(entry, "=")
		if ok && keep(name) && own[name] == "" {
			list = append(list, entry)
		}
	}
	for name, value := range own {
		list = append(list, name+"="+value)
	}
	return list
}

// begin starts the network and then the gateway. hurry ends a drain early; it may be nil.
func begin(ctx context.Context, cfg Config, keep func(string) bool, own map[string]string, network phonenet.Config, hurry <-chan struct{}) (*pair, error) {
	password := secret()
	network.Users = map[string]string{user: password}
	network.Realm = "demo.invalid"
	network.Algorithm = "SHA-256,MD5"
	// The network outlives the gateway, whose last word is to un-REGISTER.
	n, err := phonenet.Start(context.WithoutCancel(ctx), network)
	if err != nil {
		return nil, err
	}
	p := &pair{net: n, done: make(chan struct{})}
	account := map[string]string{"SIP_SERVER": n.Addr().String(), "SIP_USER": user, "SIP_PASSWORD": password, "SIP_BIND": "127.0.0.1:0"}
	maps.Copy(account, own)
	err = p.open(ctx, cfg, settings(cfg.Environ, keep, account))
	if err != nil {
		n.Close()
		return nil, err
	}
	ctx, p.stop = context.WithCancel(ctx)
	go func() {
		defer close(p.done)
		p.err = p.gateway.Run(ctx, hurry)
	}()
	return p, nil
}

func (p *pair) open(ctx context.Context, cfg Config, environ []string) error {
	loaded, err := config.Load(environ)
	if err != nil {
		return err
	}
	p.log = loaded.Run.Logger(cfg.Log)
	p.gateway, err = gateway.New(ctx, loaded, cfg.Version, p.log)
	if err != nil {
		return err
	}
	p.where, p.token = p.gateway.Addresses(), loaded.HTTP.APIToken.Reveal()
	return nil
}

// alive is a context that also ends with the gateway.
func (p *pair) alive(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-p.done
		cancel()
	}()
	return ctx
}

// end stops the gateway, then the network, and returns why the gateway ended.
func (p *pair) end() error {
	p.stop()
	<-p.done
	p.net.Close()
	return p.err
}

// secret is a password nobody knows.
func secret() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b[:])
}

// forServe are the settings that Serve takes from the environment: the doors,
// the sockets and the log, but nothing of the account, of RTP and of dialling.
func forServe(name string) bool {
	name = strings.TrimSuffix(name, "_FILE")
	for _, own := range []string{"SIP_", "PUBLIC_IP", "RTP_", "DIAL_"} {
		if strings.HasPrefix(name, own) {
			return false
		}
	}
	return true
}

// forCheck are the settings that Check takes from the environment.
func forCheck(name string) bool { return strings.HasPrefix(name, "LOG_") }

// Serve runs the demo until ctx ends; closing hurry hangs up what still talks then.
func Serve(ctx context.Context, cfg Config, hurry <-chan struct{}) error {
	p, err := begin(ctx, cfg, forServe, nil, phonenet.Config{Record: -1}, hurry)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rest := newClient(p.where.API, p.token)
	err = rest.ready(p.alive(bounded))
	rest.close()
	if err == nil {
		p.explain(cfg.Out)
	} else {
		p.log.Warn("the demo is not ready for calls yet", "error", err)
	}
	<-p.done
	return p.end()
}

// explain prints what can be tried.
func (p *pair) explain(out io.Writer) {
	api, speak, listen := at(p.where.API), at(p.where.Speak), at(p.where.Listen)
	option := ""
	if p.token != "" {
		option = ` -H "Authorization: Bearer $API_TOKEN"`
	}
	_, _ = fmt.Fprintf(out, `
phonesocket is registered at a telephone network in a box, both on this machine.
Place a call, look at it, end it:

  curl%[1]s -d '{"to":"100"}' http://%[2]s/call
  curl%[1]s http://%[2]s/v1/calls
  curl%[1]s -X POST http://%[2]s/hangup
  scripts/test-call.py --to 100 --echo

  speak   ws://%[3]s/    16-bit PCM, 16 kHz, mono, or a WAV file
  listen  ws://%[4]s/   the same format
  docs    http://%[2]s/docs

Who can be called (+49… and 0… with these last three digits work as well):

  100 echo              104 declines            108 rings 3 s, then echo
  101 says a phrase     105 hangs up after 2 s  109 puts you on hold for 2 s
  102 busy              106 early media         404 no such number
  103 rings for ever    107 silent              503, 480 … that SIP status

`, option, api, speak, listen) // the log says the same to whom cannot read it
}

// at writes an address the way a user on this machine reaches it.
func at(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() || a.Addr().IsLoopback() {
		return "localhost:" + strconv.Itoa(int(a.Port()))
	}
	return a.String()
}
