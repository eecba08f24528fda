//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// What makes a round worthless: then it says something about the machine, not about the gateway.
const (
	mostLateness = 5 * time.Millisecond
	leastRate    = 0.99
	mostRate     = 1.01
	mostControl  = 1.0 // ms, p99
)

const (
	floorTime  = time.Second
	settleTime = 300 * time.Millisecond // before idle memory is read
	hangUpWait = 10 * time.Second
)

// Round is one measurement: the floor, then the gateway with all calls.
type Round struct {
	Calls    int      `json:"calls"`
	Rejected []string `json:"rejected,omitempty"` // why it does not count

	Floor             Floor       `json:"floor"`
	FloorCallMinute   float64     `json:"floor_ms_per_call_minute"`
	CPU               float64     `json:"gateway_cpu_ms"`
	Seconds           float64     `json:"seconds"`
	CallMinute        float64     `json:"gateway_ms_per_call_minute"`
	Ratio             float64     `json:"floor_ratio"`
	Core              float64     `json:"gateway_core_percent"`
	Others            float64     `json:"others_on_its_core_percent"`
	RTPToWebSocket    Direction   `json:"rtp_to_websocket"`
	WebSocketToRTP    Direction   `json:"websocket_to_rtp"`
	Pacing            Percentiles `json:"rtp_pacing"`
	SequenceGaps      int64       `json:"rtp_sequence_gaps"`
	Control           Percentiles `json:"control_wakeup"`
	LoadLateness      float64     `json:"load_lateness_ms"`
	Rate              float64     `json:"rate"`
	Blocked           int64       `json:"frames_not_sent"`
	Closed            int         `json:"sockets_closed"`
	Errors            int         `json:"error_texts"`
	ErrorExample      string      `json:"error_example,omitempty"`
	Warnings          int         `json:"log_warnings"`
	IdleRSS           int         `json:"idle_rss_kib"`
	LoadedRSS         int         `json:"loaded_rss_kib"`
	CallRSS           float64     `json:"rss_per_call_kib"`
	Threads           int         `json:"threads"`
	SetUpsPerSecond   float64     `json:"set_ups_with_sockets_per_second"`
	RegisterMS        float64     `json:"exec_to_register_ms"`
	StopMS            float64     `json:"sigterm_to_exit_ms"`
	AllocationsAFrame *float64    `json:"allocations_per_frame,omitempty"` // profiled round only
}

// lost is how many frames of both directions did not arrive.
func (r *Round) lost() int64 { return r.RTPToWebSocket.Lost + r.WebSocketToRTP.Lost }

func (r *Round) late() int64 { return r.RTPToWebSocket.Late + r.WebSocketToRTP.Late }

// bench is one run of the benchmark.
type bench struct {
	opts     options
	codec    codec
	loadCore int // negative: not pinned
	workCore int // of gateway and floor
	server   *server
}

func (b *bench) gatewayConfig(debug bool) gatewayConfig {
	return gatewayConfig{binary: b.opts.binary, core: b.workCore, env: b.opts.env, debug: debug}
}

// round measures once. An error means that there is nothing to report, not that the figures are bad.
func (b *bench) round(ctx context.Context, calls int, profiling bool) (*Round, error) {
	r := &Round{Calls: calls}
	var err error
	if r.Floor, err = b.floor(ctx, calls); err != nil {
		return nil, err
	}
	r.FloorCallMinute = r.Floor.CallMinute()
	gw, err := startGateway(ctx, b.gatewayConfig(profiling), b.server)
	if err != nil {
		return nil, err
	}
	defer gw.kill()
	r.RegisterMS = milliseconds(gw.registerTook)
	if err := wait(ctx, settleTime); err != nil {
		return nil, err
	}
	r.IdleRSS, _ = gw.memory()
	if err := b.withCalls(ctx, gw, r, profiling); err != nil {
		return nil, err
	}
	took, err := gw.stop()
	if err != nil {
		return nil, err
	}
	r.StopMS, r.Warnings = milliseconds(took), gw.complaints()
	r.judge()
	return r, nil
}

// withCalls sets the calls up, plays them, takes the figures, and hangs up.
func (b *bench) withCalls(ctx context.Context, gw *gateway, r *Round, profiling bool) error {
	l := newLoad(b.codec, gw)
	defer l.close()
	took, err := l.setUp(ctx, b.server, r.Calls)
	if err != nil {
		return fmt.Errorf("%w\nthe gateway's last lines:\n%s", err, gw.tail())
	}
	r.SetUpsPerSecond = float64(r.Calls) / took.Seconds()

	var told <-chan profiled
	if profiling {
		told = profile(ctx, gw, r.Calls, b.opts)
	}
	control := startControl(b.controlCore(), b.opts.warm, b.opts.count)
	played := make(chan error, 1)
	go func() { played <- l.run(ctx, b.loadCore, b.opts.warm, b.opts.count) }()
	err = <-played
	r.Control = (<-control).percentiles()
	if err != nil {
		return err
	}
	r.take(l)
	if profiling {
		p := <-told
		if p.err != nil {
			return p.err
		}
		r.AllocationsAFrame = &p.allocations
	}
	bounded, cancel := context.WithTimeout(ctx, hangUpWait)
	defer cancel()
	return errors.Join(b.server.hangUpAll(bounded), b.server.err())
}

// take brings the figures of a load that has ended into the round.
func (r *Round) take(l *load) {
	r.RTPToWebSocket, r.WebSocketToRTP = l.finish()
	elapsed := float64(l.after.at - l.before.at)
	cpu := float64(l.after.cpu - l.before.cpu)
	// A frame of a call is one packet and one message in each direction.
	frames := float64(l.toWS.Messages+l.toRTP.Messages) / 2
	r.Seconds, r.CPU, r.Core = elapsed/1e9, cpu/1e6, 100*cpu/elapsed
	if frames > 0 {
		r.CallMinute = cpu / 1e6 / frames * framesPerMinute
		r.Ratio = r.CallMinute / r.FloorCallMinute
	}
	if busy := l.after.busy - l.before.busy; busy > 0 {
		r.Others = max(0, 100*(float64(busy)-cpu)/elapsed)
	}
	due := 2 * float64(r.Calls) * elapsed / (packetMS * 1e6)
	r.Rate = float64(l.toWS.Sent+l.toRTP.Sent) / due
	r.Pacing, r.SequenceGaps, r.Blocked = l.pacing.percentiles(), l.gaps, l.blocked
	r.LoadLateness = float64(l.lateness) / 1e6
	r.LoadedRSS, r.Threads = l.after.rss, l.after.threads
	r.CallRSS = float64(r.LoadedRSS-r.IdleRSS) / float64(r.Calls)
	r.Closed, r.Errors, r.ErrorExample = l.trouble()
}

// judge decides whether the machine was quiet enough. What the gateway did wrong is no reason to reject a round.
func (r *Round) judge() {
	if r.LoadLateness > milliseconds(mostLateness) {
		r.Rejected = append(r.Rejected, fmt.Sprintf("the load was late by %.1f ms", r.LoadLateness))
	}
	if r.Rate < leastRate || r.Rate > mostRate {
		r.Rejected = append(r.Rejected, fmt.Sprintf("the load sent at a rate of %.3f", r.Rate))
	}
	if r.Control.P99 > mostControl {
		r.Rejected = append(r.Rejected, fmt.Sprintf("the control thread woke up late: p99 %.2f ms", r.Control.P99))
	}
}

// floor runs the floor program where the gateway will run.
func (b *bench) floor(ctx context.Context, calls int) (Floor, error) {
	var f Floor
	self, err := os.Executable()
	if err != nil {
		return f, fmt.Errorf("find this program: %w", err)
	}
	var out, problems bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second+4*floorTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, floorCommand, strconv.Itoa(calls), strconv.Itoa(b.codec.frameBytes()), floorTime.String())
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = startPinned(cmd, b.workCore)
	if err == nil {
		err = cmd.Wait()
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &f)
	}
	if err != nil {
		return f, fmt.Errorf("floor program: %w %s", err, problems.String())
	}
	return f, nil
}

// controlCore is where the control thread sits: on a core of its own if there is one, else beside the load. On the
// gateway's core it would measure, and disturb, the gateway.
func (b *bench) controlCore() int {
	if b.loadCore < 0 {
		return -1
	}
	for _, core := range cores() {
		if core != b.loadCore && core != b.workCore {
			return core
		}
	}
	return b.loadCore
}

// startControl measures how late a thread that does nothing else wakes up, until the load stops counting.
func startControl(core int, warm, count time.Duration) <-chan *histogram {
	result := make(chan *histogram, 1)
	h := newHistogram()
	go func() {
		defer func() { result <- h }()
		if ownThread(core) != nil {
			h.add(int64(time.Hour)) // a thread that cannot be placed controls nothing: the round is rejected
			return
		}
		// Half a tick beside the load, so that both do not wake up at the same time.
		start := mono() + tick + tick/2
		for t := range int64(warm+count) / tick {
			at := start + t*tick
			h.add(sleepUntil(at) - at)
		}
	}()
	return result
}

// wait waits, but not beyond the end of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }
