package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"phonesocket/internal/call"
	"phonesocket/internal/call/journal"
	"phonesocket/internal/sip/dialog"
)

const (
	// leftBatch calls are ended every leftPause: 2,000 in a second, which the
	// buffers of sockets hold, instead of all at once.
	leftBatch = 20
	leftPause = 10 * time.Millisecond
)

// diary is the journal of the calls, if there is one, with what a crash has left in it.
type diary struct {
	journal *journal.Journal // nil: there is none
	records []journal.Record
	left    []*dialog.Left
	peers   atomic.Pointer[[]netip.Addr] // who answers when the left calls are ended
}

// open opens the journal in a directory; without one nothing is kept.
func (d *diary) open(dir string, log *slog.Logger) error {
	if dir == "" {
		return nil
	}
	var err error
	d.journal, d.records, err = journal.Open(journal.Config{Dir: dir, Logger: log})
	if err != nil {
		return fmt.Errorf("%w (STATE_DIR names the directory; it must be writable, and for this process alone)", err)
	}
	return nil
}

func (d *diary) close() error {
	if d.journal == nil {
		return nil
	}
	return d.journal.Close()
}

// recorder is the journal as dialogs see it.
func (d *diary) recorder() dialog.Recorder {
	if d.journal == nil {
		return nil
	}
	return d.journal
}

// read makes calls of the records that a crash has left.
func (d *diary) read(ua *dialog.UA, log *slog.Logger) {
	var peers []netip.Addr
	for _, r := range d.records {
		left, err := ua.Left(r.Data)
		if err != nil || left.ID() != r.Key {
			log.Error("a call in the journal cannot be read and is not ended", slog.String("sip_call_id", r.Key), slog.Any("error", err))
			d.journal.Forget(r.Key)
			continue
		}
		d.left = append(d.left, left)
		for _, a := range left.Peers() {
			if !slices.Contains(peers, a) {
				peers = append(peers, a)
			}
		}
	}
	d.records = nil
	d.peers.Store(&peers)
}

// expects reports whether an address is one that left calls go to: it may speak
// before the account's server has been looked up.
func (d *diary) expects(a netip.Addr) bool {
	peers := d.peers.Load()
	return peers != nil && slices.Contains(*peers, a.Unmap())
}

// end ends the calls that a crash has left. It returns when all have been told,
// or ctx has ended: those left then are for the next start.
func (d *diary) end(ctx context.Context, log *slog.Logger) {
	if len(d.left) == 0 {
		return
	}
	log.Warn("ending calls that a crash has left", slog.Int("calls", len(d.left)))
	start, total := time.Now(), int64(len(d.left))
	var ended atomic.Int64
	pace := time.NewTicker(leftPause)
	defer pace.Stop()
	for i, left := range d.left {
		if i > 0 && i%leftBatch == 0 {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return
			}
		}
		left.End(func() {
			if ended.Add(1) == total {
				d.peers.Store(nil)
				log.Info("calls that a crash has left are ended", slog.Int64("calls", total), slog.Duration("took", time.Since(start)))
			}
		})
	}
	d.left = nil
}

// ready says why a call could not be ended after a crash, so that none is placed.
func (d *diary) ready() error {
	if d.journal == nil {
		return nil
	}
	err := d.journal.Ready()
	if err == nil {
		return nil
	}
	e := &call.Error{
		Class: call.Unavailable, Code: call.CodeJournal, Err: err,
		Message: "The journal of calls cannot be written, and no call is placed that a crash would leave up; running calls go on. " +
			"See the log for the cause; STATE_DIR names its directory.",
	}
	if errors.Is(err, journal.ErrFull) {
		e.Code = call.CodeJournalFull
		e.Message = "The disk with the journal of calls is full, and no call is placed that a crash would leave up; running calls go on. " +
			"Make room on the disk of STATE_DIR; then calls are taken again within a second or two."
	}
	return e
}

// ready says why no call can be placed now.
func (g *Gateway) ready() error {
	if err := g.sip.ready(); err != nil {
		return err
	}
	return g.diary.ready()
}
