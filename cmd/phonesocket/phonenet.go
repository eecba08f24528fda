package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"

	"phonesocket/internal/phonenet"
)

const phonenetText = `A telephone network in a box listens on %s (%s). Register as: %s
  100 echo   101 speaker   102 busy   103 rings for ever   104 declines   105 hangs up
  106 early media   107 silent   108 rings, then echo   404, 486, 503 … answers with that status
It trusts everybody who can reach it: keep it on loopback or on a test network.
`

// phonenet runs only the telephone network of the demo, for a gateway that runs elsewhere.
func (p program) phonenet(ctx context.Context, args []string) error {
	cfg := phonenet.Config{Users: map[string]string{}, Realm: "phonenet", Algorithm: "SHA-256,MD5"}
	flags := flag.NewFlagSet("phonenet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&cfg.Bind, "listen", netip.MustParseAddrPort("127.0.0.1:5060"), "address and port of SIP")
	flags.StringVar(&cfg.Network, "network", "udp,tcp", "udp, tcp or both")
	flags.Func("user", "name:password of an account, may be repeated", func(text string) error {
		name, password, ok := strings.Cut(text, ":")
		if !ok || name == "" || password == "" {
			return fmt.Errorf("%q is not name:password", text)
		}
		cfg.Users[name] = password
		return nil
	})
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return usageError{fmt.Sprintf("phonenet takes --listen ADDRESS:PORT, --network udp,tcp and --user NAME:PASSWORD: %v", orArgument(err, flags.Arg(0)))}
	}
	if len(cfg.Users) == 0 {
		cfg.Users["demo"] = "demo"
	}
	cfg.Logger = slog.New(slog.NewTextHandler(p.stderr, nil))
	ctx, _, stop := signals(ctx)
	defer stop()
	n, err := phonenet.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	var users []string
	for name := range cfg.Users {
		users = append(users, name)
	}
	if _, err := fmt.Fprintf(p.stdout, phonenetText, n.Addr(), cfg.Network, strings.Join(users, ", ")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func orArgument(err error, argument string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%q is none of them", argument)
}
