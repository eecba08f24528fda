//go:build debug

package gateway

import (
	"net/http"
	"net/http/pprof"
)

// debugHandler serves profiles. It is not in every binary: it makes one half a megabyte larger.
func debugHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index) // also heap, goroutine and the other named profiles
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux, nil
}
