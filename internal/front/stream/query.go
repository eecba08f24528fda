package stream

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/session"
)

// query is what a client asks for.
type query struct {
	call   string // "" = the line
	format session.Format
}

// parseQuery reads the query of a request. What it does not know it refuses: a mistyped call
// would otherwise become the line. Its errors are fit to be shown.
func parseQuery(raw string, role engine.Role) (query, error) {
	var q query
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, fmt.Errorf("the query cannot be read: %w", err)
	}
	known := []string{"call", "format", "rate"}
	if role == engine.Speak {
		known = append(known, "early", "auto_clear")
	} else {
		known = append(known, "events")
	}
	for name, all := range values {
		switch {
		case name == "early":
			if role != engine.Speak {
				return q, errors.New("early belongs on the speak port; this is the listen port")
			}
		case name == "auto_clear" && role != engine.Speak:
			return q, errors.New("auto_clear belongs on the speak port; this is the listen port")
		case name == "events" && role == engine.Speak:
			return q, errors.New("events belongs on the listen port; this is the speak port")
		case name == "token":
			return q, errors.New("a token in the query ends up in logs: send the header Authorization: Bearer …")
		case !slices.Contains(known, name):
			return q, fmt.Errorf("parameter %.40q is unknown: use %s", name, strings.Join(known, ", "))
		}
		if len(all) > 1 {
			return q, fmt.Errorf("parameter %s is given %d times: give it once", name, len(all))
		}
	}
	if q.format, err = session.ParseFormat(values.Get("format"), values.Get("rate")); err != nil {
		return q, err
	}
	if err := q.extras(values); err != nil {
		return q, err
	}
	if q.call = values.Get("call"); q.call == "" && values.Has("call") {
		return q, errors.New("call is empty: give the id of a call, or leave it out to follow the line")
	}
	return q, nil
}

// extras reads what a socket may ask for beside its format.
func (q *query) extras(values url.Values) error {
	switch early := values.Get("early"); early {
	case "", "keep":
	case "drop":
		q.format.DropEarly = true
	default:
		return fmt.Errorf("early %.20q is unknown: use keep or drop", early)
	}
	switch events := values.Get("events"); events {
	case "":
	case "speech":
		q.format.Speech = true
	default:
		return fmt.Errorf("events %.20q is unknown: use speech, or leave it out", events)
	}
	switch clearing := values.Get("auto_clear"); clearing {
	case "":
	case "speech":
		q.format.AutoClear = true
	default:
		return fmt.Errorf("auto_clear %.20q is unknown: use speech, or leave it out", clearing)
	}
	return nil
}
