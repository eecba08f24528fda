package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatWasKeptAndNotForgottenIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	j := open(t, Config{Dir: dir})
	if len(j.records) > 0 {
		t.Errorf("a new journal has %v, want nothing", texts(j.records))
	}
	j.mustKeep(t, "a", "1")
	j.mustKeep(t, "b", "2")
	j.mustKeep(t, "c", "3")
	j.mustKeep(t, "a", "newer")
	j.Forget("b")
	j.Forget("never there")
	j.stop()
	again := open(t, Config{Dir: dir})
	if diff := cmp.Diff([][2]string{{"c", "3"}, {"a", "newer"}}, texts(again.records)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAKilledProcessLeavesAllThatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir})
	j.mustKeep(t, "a", "1")
	copied := t.TempDir() // as the disk is at this moment
	content, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, fileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][2]string{{"a", "1"}}, texts(open(t, Config{Dir: copied}).records)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestADiskThatFailsAtAnyMomentLosesNothingThatWasAcknowledged(t *testing.T) {
	for steps := range 60 {
		m := newMemory()
		j := open(t, Config{Dir: "memory", directory: m, MaxBytes: 200, Retry: time.Nanosecond})
		m.mu.Lock()
		m.steps = steps
		m.mu.Unlock()
		acknowledged := map[string]string{}
		for i := range 20 {
			key := fmt.Sprintf("call-%d", i%7)
			data := fmt.Sprintf("record %d", i)
			if j.keep(t, key, data) == nil {
				acknowledged[key] = data
			} else {
				delete(acknowledged, key) // the one before or this one, nobody knows
			}
		}
		m.mu.Lock()
		m.steps = -1
		m.mu.Unlock()
		after, _, err := Open(Config{Dir: "memory", directory: m.copy(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for key, data := range acknowledged {
			if got := string(after.live[key].data); got != data {
				t.Errorf("%d operations, then none: %s is %q after a crash, want %q", steps, key, got, data)
			}
		}
		if err := after.Close(); err != nil {
			t.Error(err)
		}
		j.mustKeep(t, "call-1", "after the repair")
		if err := j.Ready(); err != nil {
			t.Errorf("%d operations, then none, then all: Ready = %v, want nil", steps, err)
		}
		j.stop()
	}
}

// copy is the directory as a new process finds it.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemory()
	for name, content := range m.files {
		was := append([]byte{}, *content...)
		c.files[name] = &was
	}
	return c
}

func TestTheFileStaysSmallHoweverManyCallsThereWere(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir, MaxBytes: 20_000})
	record := strings.Repeat("r", 1000)
	j.mustKeep(t, "stays", record)
	largest := int64(0)
	for i := range 2000 {
		key := fmt.Sprintf("call-%d", i)
		if i%100 == 0 {
			j.mustKeep(t, key, record)
			info, err := os.Stat(filepath.Join(dir, fileName))
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, info.Size())
		}
		j.Keep(key, []byte(record), nil)
		j.Forget(key)
	}
	j.stop()
	if largest > 20_000 {
		t.Errorf("the file grew to %d bytes, want at most 20,000", largest)
	}
	if diff := cmp.Diff([][2]string{{"stays", record}}, texts(open(t, Config{Dir: dir}).records)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestRunningCallsMayNeedALargerFile(t *testing.T) {
	m := newMemory()
	j := open(t, Config{Dir: "memory", directory: m, MaxBytes: 1000})
	for i := range 200 {
		j.mustKeep(t, fmt.Sprintf("call-%d", i), strings.Repeat("r", 100))
	}
	m.mu.Lock()
	size, syncs := len(*m.files[fileName]), m.syncs
	m.mu.Unlock()
	if size > 60_000 || syncs > 230 { // 200 records, and the file written anew each time it has doubled
		t.Errorf("200 records of 100 bytes take %d bytes and %d syncs", size, syncs)
	}
}

func TestManyWaitForOneSync(t *testing.T) {
	m := newMemory()
	j := open(t, Config{Dir: "memory", directory: m})
	m.mu.Lock()
	m.gate, m.syncs = make(chan struct{}), 0
	m.mu.Unlock()
	var all sync.WaitGroup
	keep := func(i int) {
		all.Add(1)
		j.Keep(fmt.Sprintf("call-%d", i), []byte("record"), func(err error) {
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			all.Done()
		})
	}
	keep(0)
	m.gate <- struct{}{} // the first one is being synced, the others gather
	for i := range 1000 {
		keep(1 + i)
	}
	close(m.gate)
	all.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.syncs > 5 {
		t.Errorf("%d syncs for 1,001 records, want a few", m.syncs)
	}
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	m := newMemory()
	j := open(t, Config{Dir: "memory", directory: m, Retry: time.Millisecond})
	j.mustKeep(t, "running", "before")
	m.mu.Lock()
	m.free = 30
	m.mu.Unlock()
	if err := j.keep(t, "new", strings.Repeat("r", 100)); !errors.Is(err, ErrFull) {
		t.Errorf("Keep on a full disk = %v, want %v", err, ErrFull)
	}
	if err := j.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("Ready on a full disk = %v, want %v", err, ErrFull)
	}
	j.Forget("new")
	j.Keep("running", []byte("during"), nil)
	m.mu.Lock()
	m.free = -1
	m.mu.Unlock()
	waitReady(t, j.Journal)
	j.stop()
	if diff := cmp.Diff([][2]string{{"running", "during"}}, texts(open(t, Config{Dir: "memory", directory: m}).records)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAFullDiskAtTheStartRefusesAndRecovers(t *testing.T) {
	m := newMemory()
	first := open(t, Config{Dir: "memory", directory: m})
	first.mustKeep(t, "left", "by a crash")
	first.stop()
	m.free = 0
	j := open(t, Config{Dir: "memory", directory: m, Retry: time.Millisecond})
	if diff := cmp.Diff([][2]string{{"left", "by a crash"}}, texts(j.records)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := j.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("Ready = %v, want %v", err, ErrFull)
	}
	m.mu.Lock()
	m.free = -1
	m.mu.Unlock()
	waitReady(t, j.Journal)
}

func waitReady(t *testing.T, j *Journal) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); j.Ready() != nil; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not ready within 10 s: %v", j.Ready())
		}
	}
}

func TestADiskThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		j := open(t, Config{Dir: "memory", directory: m})
		m.mu.Lock()
		m.gate = make(chan struct{})
		m.mu.Unlock()
		j.Keep("a", nil, func(error) {})
		time.Sleep(DefaultStall)
		if err := j.Ready(); err != nil {
			t.Errorf("Ready after %v = %v, want nil", DefaultStall, err)
		}
		time.Sleep(time.Second)
		if err := j.Ready(); !errors.Is(err, ErrStalled) {
			t.Errorf("Ready = %v, want %v", err, ErrStalled)
		}
		close(m.gate)
		synctest.Wait()
		if err := j.Ready(); err != nil {
			t.Errorf("Ready after the disk came back = %v, want nil", err)
		}
		j.stop()
	})
}

func TestOneDirectoryIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Config{Dir: dir})
	if _, _, err := Open(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, ErrInUse) {
		t.Errorf("second Open = %v, want %v", err, ErrInUse)
	}
	j.stop()
	open(t, Config{Dir: dir})
}

func TestAFileOfAnotherVersionIsSetAside(t *testing.T) {
	dir := t.TempDir()
	content := []byte(magic + "\x02\x00\x00\x00")
	sum := checksum(content)
	content = append(content, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
	content = appendFrame(content, frame{kept, "a", []byte("in a language of the future")})
	if err := os.WriteFile(filepath.Join(dir, fileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, Config{Dir: dir})
	if len(j.records) > 0 {
		t.Errorf("records = %v, want none", texts(j.records))
	}
	if kept, err := os.ReadFile(filepath.Join(dir, asideName)); err != nil || string(kept) != string(content) {
		t.Errorf("file set aside = %q, %v; want it as it was", kept, err)
	}
}

func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	j := open(t, Config{Dir: "memory", directory: newMemory(), MaxRecords: 2})
	if err := j.keep(t, "a", strings.Repeat("r", maxRecord+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record that is too large: %v, want %v", err, ErrTooLarge)
	}
	if err := j.keep(t, strings.Repeat("k", maxKey+1), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a key that is too long: %v, want %v", err, ErrTooLarge)
	}
	j.mustKeep(t, "a", "")
	j.mustKeep(t, "b", "")
	if err := j.keep(t, "c", ""); !errors.Is(err, ErrTooMany) {
		t.Errorf("one record too many: %v, want %v", err, ErrTooMany)
	}
	j.mustKeep(t, "b", "changed")
	j.stop()
	if err := j.keep(t, "d", ""); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v, want %v", err, ErrClosed)
	}
	if err := j.Ready(); !errors.Is(err, ErrClosed) {
		t.Errorf("Ready after the end = %v, want %v", err, ErrClosed)
	}
}

func TestADirectoryThatCannotBeUsedIsAnErrorAtTheStart(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(Config{Dir: taken, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("Open of a file = nil, want an error")
	}
	m := newMemory()
	m.steps = 0
	if _, _, err := Open(Config{Dir: "memory", directory: m, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, ErrBroken) {
		t.Errorf("Open on a broken disk = %v, want %v", err, ErrBroken)
	}
}

func FuzzAnyFileCanBeOpened(f *testing.F) {
	content, _, ends := image()
	f.Add(content)
	f.Add(content[:ends[1]+5])
	f.Add([]byte(magic + "\x01\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		m := newMemory()
		m.files[fileName] = &content
		cfg := Config{Dir: "memory", directory: m, Logger: slog.New(slog.DiscardHandler)}
		j, records, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		again, same, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts(records), texts(same)); diff != "" {
			t.Errorf("opened twice: -first +second\n%s", diff)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
