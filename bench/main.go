//go:build linux

// Command bench measures the gateway against what the kernel asks for the same packets: its CPU time, its memory,
// what becomes of each frame and how long it takes. docs/performance.md tells how to read what it prints.
//
// It starts the gateway on one core and plays, on another, both its neighbours: a telephone network that answers
// every call at once, and a bot with a pair of WebSockets for each call.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// floorCommand is the first argument of the floor program, which is this program in another role.
const floorCommand = "floor"

const (
	mostCalls = 5000 // what the numbers, ports and file descriptors of one host allow
	buildWait = 5 * time.Minute
)

func main() {
	if len(os.Args) == 5 && os.Args[1] == floorCommand {
		os.Exit(report(floorArguments(os.Args[2:], os.Stdout)))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(report(err))
}

func report(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

func floorArguments(args []string, out io.Writer) error {
	calls, err1 := strconv.Atoi(args[0])
	message, err2 := strconv.Atoi(args[1])
	length, err3 := time.ParseDuration(args[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	return floorMain(calls, message, length, out)
}

// options are what the command line says.
type options struct {
	binary      string
	calls       []int
	rounds      int
	extra       int // rounds that may be measured anew for rejected ones
	warm, count time.Duration
	budget      time.Duration
	setUps      time.Duration
	format      string
	jsonFile    string
	cpuProfile  string
	pin         bool
	env         []string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var calls string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.binary, "gateway", "", "`file` of the gateway; without it ./cmd/phonesocket is built")
	set.StringVar(&calls, "calls", "100,500", "`numbers` of calls to measure, one after the other")
	set.IntVar(&o.rounds, "rounds", 5, "rounds that must count for each number of calls, 1 to 100")
	set.IntVar(&o.extra, "extra", 3, "rounds more that may be measured in place of rejected ones, 0 to 100")
	set.DurationVar(&o.warm, "warm", 2*time.Second, "time before a round counts")
	set.DurationVar(&o.count, "count", 6*time.Second, "time that counts in a round")
	set.DurationVar(&o.budget, "budget", 175*time.Second, "time for all; what does not fit is left out, and that is said")
	set.DurationVar(&o.setUps, "setups", 3*time.Second, "time to place calls at 100/s; 0: leave it out")
	set.StringVar(&o.format, "format", "pcm16", "`format` of the WebSockets: pcm16 (16 kHz) or alaw (passes through the gateway untouched)")
	set.StringVar(&o.jsonFile, "json", "", "`file` for all figures of all rounds")
	set.StringVar(&o.cpuProfile, "cpuprofile", "", "`file` for a CPU profile of the gateway, from one more round that does not count")
	set.BoolVar(&o.pin, "pin", true, "pin gateway and load to a core each, when there are two")
	set.Func("env", "`NAME=value` for the gateway; may be repeated", func(s string) error {
		o.env = append(o.env, s)
		return nil
	})
	if err := set.Parse(args); err != nil {
		return o, err
	}
	for field := range strings.SplitSeq(calls, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > mostCalls {
			return o, fmt.Errorf("-calls %q: expected numbers from 1 to %d, separated by commas", calls, mostCalls)
		}
		o.calls = append(o.calls, n)
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	case o.rounds < 1 || o.rounds > 100:
		return o, fmt.Errorf("-rounds %d: expected 1 to 100", o.rounds)
	case o.extra < 0 || o.extra > 100:
		return o, fmt.Errorf("-extra %d: expected 0 to 100", o.extra)
	case o.count < time.Second || o.count > time.Hour || o.warm < 0 || o.warm > time.Hour:
		return o, errors.New("-count must be at least 1s, and both -count and -warm at most 1h")
	case o.format != "pcm16" && o.format != "alaw":
		return o, fmt.Errorf("-format %q: expected pcm16 or alaw", o.format)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	if opts.binary == "" {
		remove, err := build(ctx, &opts)
		if err != nil {
			return err
		}
		defer remove()
	} else if opts.binary, err = filepath.Abs(opts.binary); err != nil { // a file, not a command to be looked for
		return err
	}
	// From here on the time runs: building is not part of the measurement.
	ctx, cancel := context.WithTimeout(ctx, opts.budget)
	defer cancel()
	b, err := newBench(opts)
	if err != nil {
		return err
	}
	defer b.server.close()
	result, err := b.measure(ctx, stderr)
	if err != nil {
		return err
	}
	if opts.jsonFile != "" {
		if err := writeJSON(opts.jsonFile, result); err != nil {
			return err
		}
	}
	return result.print(stdout)
}

// newBench starts the telephone network and takes its place on the cores.
func newBench(opts options) (*bench, error) {
	b := &bench{opts: opts, codec: newCodec(opts.format), loadCore: -1, workCore: -1}
	if list := cores(); opts.pin && len(list) >= 2 {
		b.loadCore, b.workCore = list[0], list[1]
	}
	// The threads that play and control each keep one of Go's places to run; the others need theirs.
	runtime.GOMAXPROCS(8)
	if err := pinProcess(b.loadCore); err != nil {
		return nil, err
	}
	var err error
	b.server, err = startServer()
	return b, err
}

// build builds the gateway as it is released; with profiles only when they are asked for, as they make it larger.
func build(ctx context.Context, opts *options) (remove func(), err error) {
	dir, err := os.MkdirTemp("", "phonesocket-bench-")
	if err != nil {
		return nil, fmt.Errorf("build the gateway: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	opts.binary = filepath.Join(dir, "phonesocket")
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", opts.binary}
	if opts.cpuProfile != "" {
		args = append(args, "-tags", "debug")
	}
	ctx, cancel := context.WithTimeout(ctx, buildWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(args, "phonesocket/cmd/phonesocket")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("build the gateway: %w\n%s", err, text)
	}
	return remove, nil
}

// measure does all rounds, as far as the time allows.
func (b *bench) measure(ctx context.Context, progress io.Writer) (*Result, error) {
	result := newResult(b)
	if b.opts.setUps > 0 {
		var err error
		if result.SetUps, err = b.setUps(ctx, b.opts.setUps); err != nil {
			return nil, err
		}
	}
	for _, calls := range b.opts.calls {
		result.Sizes = append(result.Sizes, b.size(ctx, calls, progress))
	}
	if b.opts.cpuProfile != "" {
		r, err := b.quietRound(ctx, b.opts.calls[len(b.opts.calls)-1], true)
		if err != nil {
			return nil, err
		}
		result.Profiled = r
	}
	return result, nil
}

// size measures one number of calls until enough rounds count, or the time or the tries are over.
func (b *bench) size(ctx context.Context, calls int, progress io.Writer) *Size {
	s := &Size{Calls: calls, Wanted: b.opts.rounds}
	var longest time.Duration
	for len(s.Rounds) < b.opts.rounds && len(s.Rounds)+len(s.RejectedRounds) < b.opts.rounds+b.opts.extra {
		if end, ok := ctx.Deadline(); ok && time.Until(end) < longest+longest/4 {
			s.CutShort = true
			break
		}
		began := time.Now()
		r, err := b.quietRound(ctx, calls, false)
		if ctx.Err() != nil && err != nil {
			s.CutShort = true
			break
		}
		if err != nil {
			// So many calls are more than this gateway carries here: that is a result, too.
			s.NotReached, _, _ = strings.Cut(err.Error(), "\n")
			_, _ = fmt.Fprintf(progress, "%4d calls did not come up: %s\n", calls, s.NotReached)
			break
		}
		longest = max(longest, time.Since(began))
		if len(r.Rejected) > 0 {
			s.RejectedRounds = append(s.RejectedRounds, *r)
		} else {
			s.Rounds = append(s.Rounds, *r)
		}
		_, _ = fmt.Fprintln(progress, r)
	}
	s.sum()
	return s
}

// quietRound measures a round without Go's collector at work in this process.
func (b *bench) quietRound(ctx context.Context, calls int, profiling bool) (*Round, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return b.round(ctx, calls, profiling)
}
