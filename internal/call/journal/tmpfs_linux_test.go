package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestARealDiskThatIsFullRefusesAndRecovers(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no file system of our own: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	j := open(t, Config{Dir: dir, Retry: time.Millisecond})
	j.mustKeep(t, "running", "before")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !isFull(err) {
		t.Fatalf("filling the disk: %v, want it full", err)
	}
	if err := j.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("Ready on a full disk = %v, want %v", err, ErrFull)
	}
	err := error(nil)
	for range 100 { // what is left of the last block is used up first
		if err = j.keep(t, "new", strings.Repeat("r", 1000)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("Keep on a full disk = %v, want %v", err, ErrFull)
	}
	j.Forget("new")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitReady(t, j.Journal)
	j.mustKeep(t, "running", "after")
	j.stop()
	again := open(t, Config{Dir: dir})
	if len(again.records) != 1 || string(again.records[0].Data) != "after" {
		t.Errorf("records = %v, want the one that runs", texts(again.records))
	}
	again.stop()
}
