package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"phonesocket/internal/call"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 64 * 1024

// Calls is what REST asks of the calls; [call.Exchange] can do it. Errors are [*call.Error].
type Calls interface {
	Dial(context.Context, call.Request) (call.Call, error)
	Get(ctx context.Context, id string) (call.Call, error)
	List(context.Context, call.Filter) call.Page
	Hangup(ctx context.Context, id string) (call.Call, error)
	HangupOnly(context.Context) (call.Call, error)
	Answer(ctx context.Context, id string) (call.Call, error)
	Reject(ctx context.Context, id string, code int) (call.Call, error)
}

// Config is what the handler needs; all but PublicURLHost and Version is required.
type Config struct {
	Calls Calls
	// Registrations tells the state of the accounts.
	Registrations func() []Registration
	// Ready says why no call can be placed now: nil, or a [*call.Error].
	Ready func() error
	// Guard decides who may ask.
	Guard *Guard
	// SpeakPort and ListenPort are the ports of the audio sockets.
	SpeakPort, ListenPort uint16
	// PublicURLHost stands in speak_url and listen_url; empty means the host that
	// the client asked.
	PublicURLHost string
	// Version is the version of the program, for the document.
	Version string
	Logger  *slog.Logger
}

type server struct {
	cfg      Config
	mux      *http.ServeMux
	openapi  []byte
	openPath map[string]bool // paths that need no token
	prompt   map[string]bool // paths at which a browser may ask for it
}

// hostKey is where the Host of a request stands in its context.
type hostKey struct{}

// New returns the handler of the REST port.
func New(cfg Config) (http.Handler, error) {
	if cfg.Calls == nil || cfg.Registrations == nil || cfg.Ready == nil || cfg.Guard == nil || cfg.Logger == nil {
		return nil, errors.New("new api: Calls, Registrations, Ready, Guard and Logger are needed")
	}
	s := &server{cfg: cfg, mux: http.NewServeMux(), openPath: map[string]bool{}, prompt: map[string]bool{}}
	a := humago.New(s.mux, s.framework())
	for _, o := range s.table() {
		o.MaxBodyBytes = maxBody + 1 // the framework refuses this very size
		describe(a, &o)
		o.register(a, o.Operation)
		s.openPath[o.Path] = o.open
		s.prompt[o.Path] = o.prompt
	}
	var err error
	if s.openapi, err = document(a); err != nil {
		return nil, err
	}
	return s.handler(), nil
}

// framework configures huma without its own routes, formats and links.
func (s *server) framework() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "phonesocket", Version: s.cfg.Version,
				Description: "A phone line as a WebSocket: place calls here, speak and listen on the two audio sockets. " +
					"Every refusal is a problem document (RFC 9457) with a code. Times are RFC 3339 in UTC, durations end in _ms.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", nameSchema),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "API_TOKEN; not needed when none is set."},
				},
			},
			Security: []map[string][]string{{"token": {}}},
			Tags:     []*huma.Tag{{Name: "Calls"}, {Name: "System"}},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{rewrite},

		RejectUnknownQueryParameters: true,
	}
}

// nameSchema names a shape in the document.
func nameSchema(t reflect.Type, hint string) string {
	switch name := huma.DefaultSchemaNamer(t, hint); name {
	case "Resource":
		return "Call"
	case "DialBody":
		return schemaDial
	case "RejectBody":
		return schemaReject
	case "ListBody":
		return "CallList"
	case "Document":
		return "Problem"
	case "Stats":
		return "Audio"
	default:
		return strings.TrimSuffix(name, "OutputBody")
	}
}

// These are the shapes that clients send.
const (
	schemaDial   = "DialRequest"
	schemaReject = "RejectRequest"
)

// document writes the OpenAPI document, without the error format of the
// framework, which is never sent. What clients receive may have more fields one
// day, what they send may not.
func document(a huma.API) ([]byte, error) {
	schemas := a.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	for name, schema := range schemas {
		if name != schemaDial && name != schemaReject && schema.AdditionalProperties == false {
			schema.AdditionalProperties = nil
		}
	}
	text, err := json.MarshalIndent(a.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write openapi document: %w", err)
	}
	return append(text, '\n'), nil
}

// resource is a call with the addresses of its sockets, as seen by the client.
func (s *server) resource(ctx context.Context, c call.Call) resource {
	host := s.cfg.PublicURLHost
	if host == "" {
		asked, _ := ctx.Value(hostKey{}).(string)
		host = hostname(asked)
	}
	return resource{Call: c, SpeakURL: socketURL(host, s.cfg.SpeakPort, c.ID), ListenURL: socketURL(host, s.cfg.ListenPort, c.ID)}
}

// socketURL is the address of an audio socket. It is always ws: what a proxy in
// front has done to TLS is for PUBLIC_URL_HOST and the user to know, a header
// that any client can send is not believed.
func socketURL(host string, port uint16, id string) string {
	if !validHost(host) {
		host = "localhost"
	}
	u := url.URL{
		Scheme: "ws", Path: "/", RawQuery: url.Values{"call": {id}}.Encode(),
		Host: net.JoinHostPort(host, strconv.Itoa(int(port))),
	}
	return u.String()
}

// validHost tells a name or an address from what a client may have made up.
func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return h != "" && len(h) <= 253 && strings.Trim(h, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == ""
}
