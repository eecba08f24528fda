package main

import (
	"context"
	"strings"

	"phonesocket/internal/demo"
)

// demo runs the gateway beside a telephone network in a box, until a signal
// ends it; with --check it makes one call by itself and says whether all holds.
func (p program) demo(ctx context.Context, args []string) error {
	check := len(args) == 1 && strings.TrimLeft(args[0], "-") == "check"
	if len(args) > 0 && !check {
		return usageError{"demo takes --check or nothing"}
	}
	ctx, hurry, stop := signals(ctx)
	defer stop()
	cfg := demo.Config{Version: versionName(), Environ: p.environ, Out: p.stdout, Log: p.stderr}
	if check {
		return demo.Check(ctx, cfg)
	}
	return demo.Serve(ctx, cfg, hurry)
}
