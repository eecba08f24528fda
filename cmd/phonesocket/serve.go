package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"phonesocket/internal/config"
	"phonesocket/internal/gateway"
)

// serve runs the gateway until a signal ends it.
func (p program) serve(ctx context.Context, args []string) error {
	environ, err := p.settings(args)
	if err != nil {
		return err
	}
	cfg, err := config.Load(environ)
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

// settings returns the environment, before which the file of --env-file counts
// for what the environment does not say.
func (p program) settings(args []string) ([]string, error) {
	if len(args) == 0 {
		return p.environ, nil
	}
	if len(args) != 2 || strings.TrimLeft(args[0], "-") != "env-file" {
		return nil, noArguments("run", args)
	}
	file, err := os.Open(args[1]) //nolint:gosec // the user names the file
	if err != nil {
		return nil, usageError{fmt.Sprintf("read settings: %v", err)}
	}
	defer file.Close()
	environ, err := config.ReadEnvFile(file)
	if err != nil {
		return nil, usageError{fmt.Sprintf("read settings from %s: %v", args[1], err)}
	}
	// An empty variable is the same as none, so it leaves the file's value alone.
	given := slices.DeleteFunc(slices.Clone(p.environ), func(entry string) bool { return strings.HasSuffix(entry, "=") })
	return append(environ, given...), nil
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
