package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// drain takes everything that waits, as short words.
func drain(o *outbox, now time.Time) []string {
	var got []string
	var scratch [maxControl + 2]byte
	for o.count > 0 || o.pingDue || o.pongDue {
		f, dropped, ok := o.next(scratch[:], func() time.Time { return now })
		if !ok {
			return append(got, "ended")
		}
		switch f.kind {
		case outTell:
			got = append(got, fmt.Sprintf("dropped %d", dropped))
		case outClose:
			got = append(got, fmt.Sprintf("close %d", int(f.buf[2])<<8|int(f.buf[3])))
		case outPing:
			got = append(got, "ping")
		case outPong:
			got = append(got, "pong "+string(f.buf[2:]))
		default:
			got = append(got, string(f.buf[2:]))
		}
		o.recycle(f)
	}
	return got
}

func TestASlowListenerLosesItsOldestAudioAndNoText(t *testing.T) {
	o := newOutbox(3)
	o.put(outKept, []byte("H"))
	o.put(outText, []byte("start"))
	var lost uint64
	for i := range 20 {
		n, ok := o.put(outAudio, []byte(fmt.Sprint("a", i)))
		if !ok {
			t.Fatal("audio was refused")
		}
		lost += n
		if i == 10 {
			o.put(outText, []byte("ringing"))
		}
	}
	o.put(outText, []byte("end"))
	want := []string{"H", "dropped 17", "start", "ringing", "a17", "a18", "a19", "end"}
	if diff := cmp.Diff(want, drain(o, testEpoch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if lost != 17 {
		t.Errorf("%d frames counted as lost, want 17", lost)
	}
}

func TestLossIsToldAtMostOnceASecond(t *testing.T) {
	o := newOutbox(1)
	lose := func() {
		o.put(outAudio, []byte("x"))
		o.put(outAudio, []byte("y"))
	}
	lose()
	first := drain(o, testEpoch)
	lose()
	second := drain(o, testEpoch.Add(tellEvery/2))
	lose()
	third := drain(o, testEpoch.Add(tellEvery))
	want := [][]string{{"dropped 1", "y"}, {"y"}, {"dropped 2", "y"}}
	if diff := cmp.Diff(want, [][]string{first, second, third}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestControlFramesPassWaitingAudio(t *testing.T) {
	o := newOutbox(100)
	o.put(outAudio, []byte("a"))
	o.put(outAudio, []byte("b"))
	o.answerPing([]byte("old"))
	o.answerPing([]byte("new"))
	o.ping()
	want := []string{"pong new", "ping", "a", "b"}
	if diff := cmp.Diff(want, drain(o, testEpoch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAfterTheCloseFrameNothingIsTaken(t *testing.T) {
	o := newOutbox(100)
	o.put(outAudio, []byte("a"))
	o.close(ws.StatusNormalClosure, "over")
	o.close(ws.StatusGoingAway, "second")
	o.put(outText, []byte("late"))
	if diff := cmp.Diff([]string{"a", "close 1000"}, drain(o, testEpoch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	o.answerClose(1000)
	if _, _, ok := o.next(nil, time.Now); ok {
		t.Error("the connection goes on after both sides closed")
	}
}

func TestAClosingPeerIsAnsweredBeforeWhatWaits(t *testing.T) {
	o := newOutbox(100)
	for range 50 {
		o.put(outAudio, []byte("a"))
	}
	o.close(ws.StatusGoingAway, "")
	o.answerClose(4000)
	if diff := cmp.Diff([]string{"close 4000"}, drain(o, testEpoch)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAClientThatAsksButNeverReadsIsGivenUp(t *testing.T) {
	o := newOutbox(100)
	for i := range maxTexts {
		if _, ok := o.put(outText, []byte("x")); !ok {
			t.Fatalf("text %d was refused", i)
		}
	}
	if _, ok := o.put(outText, []byte("x")); ok {
		t.Error("texts may wait without end")
	}
}

func TestQueueingAudioAllocatesNothing(t *testing.T) {
	o := newOutbox(4)
	audio := []byte(strings.Repeat("a", 640))
	var scratch [maxControl + 2]byte
	step := func() {
		o.put(outAudio, audio)
		f, _, _ := o.next(scratch[:], time.Now)
		o.recycle(f)
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations a frame, want 0", n)
	}
	full := func() { o.put(outAudio, audio) }
	for range 10 {
		full()
	}
	if n := testing.AllocsPerRun(100, full); n != 0 {
		t.Errorf("%v allocations a dropped frame, want 0", n)
	}
}
