package e2e

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestTheContainerMakesACallThroughItsPublishedPorts runs wherever a Docker engine answers.
func TestTheContainerMakesACallThroughItsPublishedPorts(t *testing.T) {
	peers(t, "python3")
	if err := exec.CommandContext(t.Context(), "docker", "info").Run(); err != nil {
		t.Skipf("no Docker engine answers: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "scripts/test-container.sh")
	script.Dir = ".."
	// The script takes everything down when it is interrupted.
	script.Cancel = func() error { return script.Process.Signal(os.Interrupt) }
	script.WaitDelay = 30 * time.Second
	out, err := script.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("the container test: %v", err)
	}
}
