//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// setUpRate is how many calls a second a gateway must be able to place for a while.
const setUpRate = 100

// SetUps is the cost of calls that are answered and hung up at once: POST, INVITE, 200, ACK, BYE, without audio sockets.
type SetUps struct {
	Calls     int         `json:"calls"`
	PerSecond float64     `json:"per_second"`
	CPU       float64     `json:"cpu_ms_per_call"`
	Post      Percentiles `json:"post_to_answer"` // from the POST to the ACK on the wire
}

// setUps places calls at a fixed rate for some seconds on a gateway of its own.
func (b *bench) setUps(ctx context.Context, length time.Duration) (*SetUps, error) {
	gw, err := startGateway(ctx, b.gatewayConfig(false), b.server)
	if err != nil {
		return nil, err
	}
	defer gw.kill()
	ctx, cancel := context.WithTimeout(ctx, length+setupWait)
	defer cancel()
	for i := range setUpRate / 10 { // warm: connections of the client, first calls of the gateway
		if _, err := b.oneSetUp(ctx, gw, i); err != nil {
			return nil, err
		}
	}
	count := max(1, int(length.Seconds()*setUpRate))
	took := make([]time.Duration, count)
	var bad failures
	var all sync.WaitGroup
	began, cpu := time.Now(), gw.cpu()
	for i := range count {
		if err := wait(ctx, time.Until(began.Add(time.Duration(i)*time.Second/setUpRate))); err != nil {
			break
		}
		all.Go(func() {
			var err error
			if took[i], err = b.oneSetUp(ctx, gw, setUpRate+i); err != nil {
				bad.add(err)
			}
		})
	}
	all.Wait()
	cpu, elapsed := gw.cpu()-cpu, time.Since(began)
	if err := errors.Join(bad.err(), ctx.Err(), b.server.err()); err != nil {
		return nil, fmt.Errorf("set-ups: %w\n%s", err, gw.tail())
	}
	if _, err := gw.stop(); err != nil {
		return nil, err
	}
	h := newHistogram()
	for _, d := range took {
		h.add(int64(d))
	}
	return &SetUps{count, float64(count) / elapsed.Seconds(), float64(cpu) / 1e6 / float64(count), h.percentiles()}, nil
}

// oneSetUp places a call, waits for its end, and returns how long it took to come up.
func (b *bench) oneSetUp(ctx context.Context, gw *gateway, i int) (time.Duration, error) {
	number, callee := b.server.expect(i, 9, true) // 9 is discard: nobody is there long enough to hear
	began := time.Now()
	if _, err := gw.dial(ctx, number); err != nil {
		return 0, err
	}
	var took time.Duration
	select {
	case <-callee.answered:
		took = time.Since(began)
	case <-ctx.Done():
		return 0, fmt.Errorf("call %s did not come up: %w", number, ctx.Err())
	}
	select {
	case <-callee.ended:
		return took, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("call %s did not end: %w", number, ctx.Err())
	}
}
