//go:build !debug

package gateway

import (
	"errors"
	"net/http"
)

// debugHandler refuses: what was asked for is not in this binary.
func debugHandler() (http.Handler, error) {
	return nil, errors.New("DEBUG_LISTEN is set, but this binary has no profiles: build it with -tags debug, or remove the setting")
}
