package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"phonesocket/internal/config"
	"phonesocket/internal/gateway"
)

// serve runs the gateway until a signal ends it.
func (p program) serve(ctx context.Context, args []string) error {
	if err := noArguments("run", args); err != nil {
		return err
	}
	cfg, err := config.Load(p.environ)
	if err != nil {
		return err
	}
	log := cfg.Run.Logger(p.stderr)
	ctx, hurry, stop := signals(ctx)
	defer stop()
	g, err := gateway.New(ctx, cfg, versionName(), log)
	if err != nil {
		return err
	}
	return g.Run(ctx, hurry)
}

// signals returns a context that SIGINT or SIGTERM ends, and a channel that the
// second such signal closes, for those who do not want to wait for running calls.
func signals(parent context.Context) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	now, ended, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for count := 0; ; {
			select {
			case <-ended:
				return
			case <-received:
				if count++; count == 1 {
					cancel()
				} else if count == 2 {
					close(now)
				}
			}
		}
	}()
	return ctx, now, func() {
		signal.Stop(received)
		close(ended)
		<-done
		cancel()
	}
}
