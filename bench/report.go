//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Result is everything that one run of the benchmark found out.
type Result struct {
	At       time.Time `json:"at"`
	Machine  Machine   `json:"machine"`
	Format   string    `json:"websocket_format"`
	Sockets  string    `json:"sockets"`
	Pinned   bool      `json:"pinned"`
	SetUps   *SetUps   `json:"set_ups,omitempty"`
	Sizes    []*Size   `json:"sizes"`
	Profiled *Round    `json:"profiled_round,omitempty"`
}

// Machine is where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// Size is one number of calls with its rounds.
type Size struct {
	Calls          int     `json:"calls"`
	Wanted         int     `json:"rounds_wanted"`
	CutShort       bool    `json:"cut_short_by_time"`
	NotReached     string  `json:"not_reached,omitempty"` // why so many calls did not come up
	Rounds         []Round `json:"rounds"`
	RejectedRounds []Round `json:"rejected_rounds"`

	Ratio           Spread `json:"floor_ratio"`
	CallMinute      Spread `json:"gateway_ms_per_call_minute"`
	FloorCallMinute Spread `json:"floor_ms_per_call_minute"`
	Lost            int64  `json:"lost"`
	Late            int64  `json:"late"`
}

func newResult(b *bench) *Result {
	return &Result{At: time.Now().UTC(), Machine: thisMachine(), Format: b.codec.name, Sockets: "pair_per_call", Pinned: b.loadCore >= 0}
}

func thisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(text) {
		if key, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// sum takes the medians over the rounds that count.
func (s *Size) sum() {
	s.Ratio = spread(collect(s.Rounds, func(r *Round) float64 { return r.Ratio }))
	s.CallMinute = spread(collect(s.Rounds, func(r *Round) float64 { return r.CallMinute }))
	s.FloorCallMinute = spread(collect(s.Rounds, func(r *Round) float64 { return r.FloorCallMinute }))
	for i := range s.Rounds {
		s.Lost += s.Rounds[i].lost()
		s.Late += s.Rounds[i].late()
	}
}

// mid is the median of one figure over the rounds that count.
func (s *Size) mid(of func(*Round) float64) float64 { return median(collect(s.Rounds, of)) }

// String is the line of progress for one round.
func (r *Round) String() string {
	text := fmt.Sprintf("%4d calls: %.2f × floor (%.1f of %.1f ms a call-minute), lost %d, late %d, RTP→WS p50 %.2f ms, WS→RTP p50 %.1f ms",
		r.Calls, r.Ratio, r.CallMinute, r.FloorCallMinute, r.lost(), r.late(), r.RTPToWebSocket.Latency.P50, r.WebSocketToRTP.Latency.P50)
	if len(r.Rejected) > 0 {
		text += "; REJECTED: " + strings.Join(r.Rejected, ", ")
	}
	return text
}

func writeJSON(file string, result *Result) error {
	text, err := json.MarshalIndent(result, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// print writes the tables, and as its last line the figures of the largest number of calls for programs.
func (r *Result) print(to io.Writer) error {
	var b bytes.Buffer
	place := "not pinned"
	if r.Pinned {
		place = "gateway and load on a core each"
	}
	fmt.Fprintf(&b, "\n%s, %d cores, Linux %s, %s; %s; WebSockets: a pair per call, %s\n\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, place, r.Format)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	r.rows(table)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	if s := r.SetUps; s != nil {
		fmt.Fprintf(&b, "\nset-up and end of a call without sockets: %.2f ms CPU, %d calls at %.1f/s, POST to ACK p50 %.1f ms, p99 %.1f ms\n",
			s.CPU, s.Calls, s.PerSecond, s.Post.P50, s.Post.P99)
	}
	if p := r.Profiled; p != nil && p.AllocationsAFrame != nil {
		fmt.Fprintf(&b, "allocations per call and 20 ms: %.4f (%d calls, the profile's own in it)\n", *p.AllocationsAFrame, p.Calls)
	}
	fmt.Fprintln(&b)
	for _, s := range r.Sizes {
		if s.NotReached != "" {
			fmt.Fprintf(&b, "%d calls did not come up: %s\n", s.Calls, s.NotReached)
		}
		fmt.Fprintln(&b, s.line())
	}
	_, err := to.Write(b.Bytes())
	return err
}

// rows writes one column for each number of calls; figures are medians of the rounds that count.
func (r *Result) rows(to io.Writer) {
	const alwaysThere = 2 // lines that mean something when no round counts
	line := 0
	row := func(title string, cell func(*Size) string) {
		_, _ = fmt.Fprint(to, title)
		for _, s := range r.Sizes {
			text := "-"
			if len(s.Rounds) > 0 || line < alwaysThere {
				text = cell(s)
			}
			_, _ = fmt.Fprint(to, "\t", text)
		}
		line++
		_, _ = fmt.Fprintln(to)
	}
	figure := func(title, format string, of func(*Round) float64) {
		row(title, func(s *Size) string { return fmt.Sprintf(format, s.mid(of)) })
	}
	times := func(title string, of func(*Round) Percentiles) {
		row(title, func(s *Size) string {
			return fmt.Sprintf("%.2f / %.2f / %.2f", s.mid(func(r *Round) float64 { return of(r).P50 }),
				s.mid(func(r *Round) float64 { return of(r).P99 }), s.mid(func(r *Round) float64 { return of(r).P999 }))
		})
	}
	row("calls", func(s *Size) string { return fmt.Sprint(s.Calls) })
	row("rounds counted, rejected", func(s *Size) string {
		text := fmt.Sprintf("%d of %d, %d", len(s.Rounds), s.Wanted, len(s.RejectedRounds))
		if s.CutShort {
			text += " (time over)"
		}
		return text
	})
	row("CPU × floor, median (range)", func(s *Size) string {
		return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Ratio.Median, s.Ratio.Min, s.Ratio.Max)
	})
	figure("CPU ms per call-minute", "%.1f", func(r *Round) float64 { return r.CallMinute })
	figure("  of that the floor", "%.1f", func(r *Round) float64 { return r.FloorCallMinute })
	figure("gateway's part of its core, %", "%.0f", func(r *Round) float64 { return r.Core })
	figure("  others on that core, %", "%.1f", func(r *Round) float64 { return r.Others })
	row("frames sent, RTP→WS + WS→RTP", func(s *Size) string {
		return fmt.Sprintf("%.0f + %.0f", s.mid(func(r *Round) float64 { return float64(r.RTPToWebSocket.Sent) }),
			s.mid(func(r *Round) float64 { return float64(r.WebSocketToRTP.Sent) }))
	})
	row("frames lost, late, all rounds", func(s *Size) string { return fmt.Sprintf("%d, %d", s.Lost, s.Late) })
	figure("packets of silence while speaking", "%.0f", func(r *Round) float64 { return float64(r.WebSocketToRTP.Silent) })
	row("times that a row of frames was lost", func(s *Size) string {
		return fmt.Sprintf("%.0f", s.mid(func(r *Round) float64 { return float64(r.RTPToWebSocket.Astray + r.WebSocketToRTP.Astray) }))
	})
	times("RTP→WS ms p50/p99/p99.9", func(r *Round) Percentiles { return r.RTPToWebSocket.Latency })
	times("WS→RTP ms p50/p99/p99.9", func(r *Round) Percentiles { return r.WebSocketToRTP.Latency })
	times("RTP pacing off by ms p50/p99/p99.9", func(r *Round) Percentiles { return r.Pacing })
	times("  control thread late by ms", func(r *Round) Percentiles { return r.Control })
	figure("  load late by ms, worst", "%.2f", func(r *Round) float64 { return r.LoadLateness })
	figure("idle RSS, MB", "%.1f", func(r *Round) float64 { return float64(r.IdleRSS) / 1024 })
	figure("RSS per call above idle, KB", "%.1f", func(r *Round) float64 { return r.CallRSS })
	figure("threads", "%.0f", func(r *Round) float64 { return float64(r.Threads) })
	figure("set-ups with sockets per second", "%.0f", func(r *Round) float64 { return r.SetUpsPerSecond })
	figure("exec to REGISTER, ms", "%.1f", func(r *Round) float64 { return r.RegisterMS })
	figure("SIGTERM to exit, ms", "%.1f", func(r *Round) float64 { return r.StopMS })
	row("sockets closed, errors, log warnings", func(s *Size) string {
		return fmt.Sprintf("%.0f, %.0f, %.0f", s.mid(func(r *Round) float64 { return float64(r.Closed) }),
			s.mid(func(r *Round) float64 { return float64(r.Errors) }), s.mid(func(r *Round) float64 { return float64(r.Warnings) }))
	})
}

// line is what programs read. Without a round that counts there is no ratio: floor_ratio is none.
func (s *Size) line() string {
	if len(s.Rounds) == 0 {
		return fmt.Sprintf("floor_ratio=none calls=%d lost=none late=none rounds=0 rejected=%d", s.Calls, len(s.RejectedRounds))
	}
	return fmt.Sprintf("floor_ratio=%.3f calls=%d lost=%d late=%d rounds=%d rejected=%d ratio_min=%.3f ratio_max=%.3f ms_per_call_minute=%.2f "+
		"rtp_to_ws_p50_ms=%.3f rtp_to_ws_p99_ms=%.3f ws_to_rtp_p50_ms=%.2f ws_to_rtp_p99_ms=%.2f pacing_p99_ms=%.3f rss_per_call_kib=%.1f",
		s.Ratio.Median, s.Calls, s.Lost, s.Late, len(s.Rounds), len(s.RejectedRounds), s.Ratio.Min, s.Ratio.Max, s.CallMinute.Median,
		s.mid(func(r *Round) float64 { return r.RTPToWebSocket.Latency.P50 }), s.mid(func(r *Round) float64 { return r.RTPToWebSocket.Latency.P99 }),
		s.mid(func(r *Round) float64 { return r.WebSocketToRTP.Latency.P50 }), s.mid(func(r *Round) float64 { return r.WebSocketToRTP.Latency.P99 }),
		s.mid(func(r *Round) float64 { return r.Pacing.P99 }), s.mid(func(r *Round) float64 { return r.CallRSS }))
}
