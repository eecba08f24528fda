package gateway

import (
	"errors"
	"net/http"
	"time"

	"phonesocket/internal/call"
	"phonesocket/internal/front/api"
	"phonesocket/internal/sip/registration"
)

// newGuard makes the guard that stands at all three doors.
func (g *Gateway) newGuard() *api.Guard {
	return api.NewGuard(api.GuardConfig{
		Token: g.cfg.HTTP.APIToken.Reveal(), Hosts: []string{g.cfg.HTTP.PublicURLHost},
		Ports: []uint16{g.api.address().Port(), g.speak.address().Port(), g.listen.address().Port()},
	})
}

// rest makes the handler of the REST port.
func (g *Gateway) rest(guard *api.Guard, version string) (http.Handler, error) {
	return api.New(api.Config{
		Calls: g.calls, Guard: guard, Ready: g.calls.Ready,
		Registrations: func() []api.Registration { return []api.Registration{describe(g.sip.registration.Status())} },
		SpeakPort:     g.speak.address().Port(), ListenPort: g.listen.address().Port(),
		PublicURLHost: g.cfg.HTTP.PublicURLHost, Version: version, Logger: g.log,
	})
}

// describe turns the state of a registration into its REST resource.
func describe(s registration.Status) api.Registration {
	return api.Registration{
		Account: s.Account, State: s.State, Since: s.Since, ExpiresAt: optional(s.Expires), Server: s.Server, Contact: s.Contact,
		Code: s.Code, Cause: s.Cause, Reason: s.Reason, Advice: s.Advice, Attempts: s.Attempts, NextTry: optional(s.NextTry),
	}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ready says why no call can be placed now, with what to do about it.
func (s *signalling) ready() error {
	_, err := s.registration.Path()
	if err == nil {
		return nil
	}
	status := s.registration.Status()
	message := "The account is not registered yet; try again in a moment."
	if status.Reason != "" {
		message = "The account " + status.Account + " is not registered: " + status.Reason + "."
	}
	if status.Advice != "" {
		message += " What to do: " + status.Advice + "."
	}
	return &call.Error{Class: call.Unavailable, Code: call.CodeNotRegistered, Message: message, Err: errors.Unwrap(err)}
}
