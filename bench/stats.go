package main

import "slices"

// histogramBins is how many microseconds a histogram tells apart; beyond that only the largest is known.
const histogramBins = 400_000

// histogram counts times in bins of one microsecond. It allocates nothing once made.
type histogram struct {
	bins  []uint32
	total uint64
	most  int64 // nanoseconds
}

func newHistogram() *histogram { return &histogram{bins: make([]uint32, histogramBins)} }

// add counts one time in nanoseconds; negative ones count as their distance from zero.
func (h *histogram) add(ns int64) {
	ns = max(ns, -ns)
	h.most = max(h.most, ns)
	h.bins[min(ns/1000, histogramBins-1)]++
	h.total++
}

// Percentiles are times in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

func (h *histogram) percentiles() Percentiles {
	return Percentiles{h.at(0.5), h.at(0.99), h.at(0.999), float64(h.most) / 1e6}
}

// at returns the time in milliseconds below which the given part of all lies.
func (h *histogram) at(part float64) float64 {
	want, seen := uint64(part*float64(h.total)), uint64(0)
	for us, n := range h.bins {
		if seen += uint64(n); seen > want {
			return float64(us+1) / 1000
		}
	}
	return float64(h.most) / 1e6
}

// Spread is a median with its range.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{median(values), slices.Min(values), slices.Max(values)}
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// collect takes one figure of each element.
func collect[T any](list []T, of func(*T) float64) []float64 {
	out := make([]float64, len(list))
	for i := range list {
		out[i] = of(&list[i])
	}
	return out
}
