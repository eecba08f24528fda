package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// parts runs the parts of the gateway and tells when the first of them fails.
type parts struct {
	failed chan error // gets the first failure
	all    sync.WaitGroup
}

// part is one running part.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func newParts() *parts { return &parts{failed: make(chan error, 1)} }

// start runs f until the part is stopped. A part that ends before that has failed.
func (p *parts) start(ctx context.Context, name string, f func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(ctx)
	one := &part{cancel: cancel, done: make(chan struct{})}
	p.all.Go(func() {
		defer close(one.done)
		err := f(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err == nil || errors.Is(err, context.Canceled) {
			return
		}
		select {
		case p.failed <- fmt.Errorf("%s: %w", name, err):
		default: // only the first failure is the cause
		}
	})
	return one
}

// stop ends the part and waits until it has ended.
func (p *part) stop() {
	p.cancel()
	<-p.done
}
