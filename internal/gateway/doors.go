package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// closeWait is how long requests that are being answered may take when a door closes.
const closeWait = 2 * time.Second

// door is one of the three ports with its handler.
type door struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// openDoor binds a port. Nobody is let in before run.
func openDoor(ctx context.Context, name, variable, address string, log *slog.Logger) (*door, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the %s port: %w (is something else listening there? %s names another port)", name, err, variable)
	}
	return &door{name: name, listener: listener, server: &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

func (d *door) address() netip.AddrPort {
	return d.listener.Addr().(*net.TCPAddr).AddrPort()
}

// run serves until ctx ends, then lets the requests that are being answered finish.
func (d *door) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(d.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	if err := d.server.Shutdown(bounded); err != nil {
		_ = d.server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openDebug binds the port for profiles, if there is to be one.
func (g *Gateway) openDebug(ctx context.Context) error {
	if !g.cfg.Run.DebugListen.IsValid() {
		return nil
	}
	handler, err := debugHandler()
	if err != nil {
		return err
	}
	g.debug, err = openDoor(ctx, "debug", "DEBUG_LISTEN", g.cfg.Run.DebugListen.String(), g.log)
	if err != nil {
		return err
	}
	g.debug.server.Handler = handler
	return nil
}
