//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"time"
)

// longestProfile keeps a profile well within the time that a request may take.
const longestProfile = 10

var errNoMallocs = errors.New("the heap profile does not tell the number of allocations")

// profiled is what a gateway that was built with the tag debug tells about itself.
type profiled struct {
	allocations float64 // per frame of a call: a packet and a message in each direction
	err         error
}

// profile takes a CPU profile and counts allocations while the calls are played. What the profile itself allocates
// is in the figure. The round that it belongs to does not count: profiles cost time too.
func profile(ctx context.Context, gw *gateway, calls int, opts options) <-chan profiled {
	result := make(chan profiled, 1)
	go func() {
		var p profiled
		if p.allocations, p.err = takeProfile(ctx, gw, calls, opts); p.err != nil {
			p.err = fmt.Errorf("profile: %w (is the gateway built with -tags debug?)", p.err)
		}
		result <- p
	}()
	return result
}

func takeProfile(ctx context.Context, gw *gateway, calls int, opts options) (float64, error) {
	if err := wait(ctx, opts.warm); err != nil {
		return 0, err
	}
	before, err := mallocs(ctx, gw)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	seconds := min(max(1, int(opts.count.Seconds())-1), longestProfile)
	var out bytes.Buffer
	if err := gw.get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", gw.debug, seconds), &out); err != nil {
		return 0, err
	}
	after, err := mallocs(ctx, gw)
	if err != nil {
		return 0, err
	}
	frames := time.Since(began).Seconds() * 1000 / packetMS * float64(calls)
	if err := os.WriteFile(opts.cpuProfile, out.Bytes(), 0o600); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return float64(after-before) / frames, nil
}

// mallocs is how many objects the gateway has allocated since its start.
func mallocs(ctx context.Context, gw *gateway) (int64, error) {
	var out bytes.Buffer
	if err := gw.get(ctx, "http://"+gw.debug+"/debug/pprof/heap?debug=1", &out); err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^# Mallocs = (\d+)$`).FindSubmatch(out.Bytes())
	if found == nil {
		return 0, errNoMallocs
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}

// freePort returns a TCP port that nobody uses at the moment.
func freePort() (uint16, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}
