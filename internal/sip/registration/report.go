package registration

import (
	"fmt"
	"log/slog"
	"time"
)

// report publishes a state, and says it in the log and to OnChange unless it is
// the same state for the same cause as before.
func (r *Registration) report(state string, f failure, next time.Time) {
	before := r.seen.Load().status
	changed := before.State != state || before.Cause != f.cause || before.Code != f.code ||
		state == StateRegistered && (before.Server != r.server() || before.Contact != r.contact.String())
	now := r.cfg.TimeNow()
	r.publish(func(s *Status) {
		s.State, s.Cause, s.Code, s.Reason, s.Advice, s.NextTry = state, f.cause, f.code, f.reason, f.advice, next
		if changed {
			s.Since = now
		}
	})
	begins := !r.told
	r.told = true
	if !changed && !begins {
		return
	}
	status := r.seen.Load().status
	r.log(status, now)
	r.cfg.OnChange(status)
}

// publish replaces what other goroutines see.
func (r *Registration) publish(change func(*Status)) {
	v := &view{status: r.seen.Load().status}
	s := &v.status
	change(s)
	s.Attempts = r.attempts
	s.Server = r.server()
	s.Expires = r.lease
	s.Contact = ""
	if r.path {
		s.Contact = r.contact.String()
		v.path = Path{Target: r.target, Contact: *r.contact.Clone()}
	} else {
		v.err = pathError(v.status)
	}
	for _, t := range r.targets {
		v.peers = append(v.peers, t.Addr.Addr())
	}
	r.seen.Store(v)
}

func (r *Registration) server() string {
	if !r.target.Addr.IsValid() {
		return ""
	}
	return r.target.String()
}

func pathError(s Status) error {
	switch {
	case s.Reason == "":
		return fmt.Errorf("%w: account %s is %s", ErrNoPath, s.Account, s.State)
	case s.Advice == "":
		return fmt.Errorf("%w: account %s is not registered: %s", ErrNoPath, s.Account, s.Reason)
	default:
		return fmt.Errorf("%w: account %s is not registered: %s; %s", ErrNoPath, s.Account, s.Reason, s.Advice)
	}
}

// log writes the one line of a change.
func (r *Registration) log(s Status, now time.Time) {
	args := []any{slog.String("account", s.Account), slog.String("state", s.State)}
	text := func(key, value string) {
		if value != "" {
			args = append(args, slog.String(key, value))
		}
	}
	text("server", s.Server)
	if s.State == StateRegistered || s.State == StateStatic {
		text("contact", s.Contact)
		if !s.Expires.IsZero() {
			args = append(args, slog.Int("expires_s", wholeSeconds(s.Expires.Sub(now))))
		}
		r.cfg.Logger.Info("registration changed", args...)
		return
	}
	text("cause", s.Cause)
	if s.Code != 0 {
		args = append(args, slog.Int("code", s.Code))
	}
	text("reason", s.Reason)
	text("advice", s.Advice)
	if !s.NextTry.IsZero() {
		args = append(args, slog.Int("retry_in_s", wholeSeconds(s.NextTry.Sub(now))))
	}
	if s.Cause == "" || s.Cause == CauseStopped {
		r.cfg.Logger.Info("registration changed", args...)
		return
	}
	r.cfg.Logger.Warn("registration changed", args...)
}

func wholeSeconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
