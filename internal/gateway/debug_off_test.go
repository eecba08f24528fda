//go:build !debug

package gateway_test

import (
	"log/slog"
	"strings"
	"testing"

	"phonesocket/internal/gateway"
)

func TestProfilesThatAreNotInTheBinaryAreRefused(t *testing.T) {
	cfg := settings(t, "SIP_SERVER=127.0.0.1", "SIP_USER=a", "SIP_PASSWORD=b", "DEBUG_LISTEN=127.0.0.1:6060")
	_, err := gateway.New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "-tags debug") {
		t.Errorf("got %v, want to be told how to build", err)
	}
}
