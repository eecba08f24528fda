package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"phonesocket/internal/config"
)

// healthTimeout is well below the time-out of the image's HEALTHCHECK.
const healthTimeout = 2 * time.Second

// health asks /health of the gateway that runs with the same environment.
func (p program) health(ctx context.Context, args []string) error {
	if err := noArguments("health", args); err != nil {
		return err
	}
	doors, err := config.LoadHTTP(p.environ)
	if err != nil {
		return err
	}
	if doors.APIPort == 0 {
		return errors.New("health: API_PORT=0 means any free port, so it is not known which")
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	address := doors.HealthURL()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// A transport of its own: no proxy of the environment stands before this host.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return fmt.Errorf("no gateway answers at %s: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}
