// Package webhook asks a server of the user what to do with a call that comes in.
//
// The question is a POST, signed as Standard Webhooks prescribe
// (https://www.standardwebhooks.com): webhook-id, webhook-timestamp and
// webhook-signature, the base64 of an HMAC-SHA256 over "id.timestamp.body". Its
// body is
//
//	{"type":"call.incoming","timestamp":"2026-01-02T15:04:05Z","data":{…}}
//
// where data is the call as GET /v1/calls/{id} shows it. The answer is one JSON object
//
//	{"action":"accept","metadata":{"customer":"7"}}
//	{"action":"reject","code":486}
//
// with status 200, within [Timeout]. Anything else is an error, and the one who
// asked falls back to what is configured. There is one try: the caller waits.
//
// Redirections are not followed, proxies of the environment are not used, and
// unless that is allowed no private address is asked, whatever name it has. A
// Hook may be used from any goroutine; it starts none that outlives [Hook.Ask].
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"phonesocket/internal/call"
)

const (
	// Timeout is how long the server may take, from the look-up of its name to
	// the last byte of its answer.
	Timeout = 5 * time.Second
	// maxAnswer is the longest answer that is read, in bytes.
	maxAnswer = 64 << 10
	// minSecret and maxSecret bound the key, in bytes, as the specification does.
	minSecret, maxSecret = 24, 64
)

// Config says whom to ask. URL and Secret are needed.
type Config struct {
	// URL is where questions go: http or https.
	URL string
	// Secret signs them: the base64 of 24 to 64 random bytes, usually with
	// "whsec_" before it.
	Secret string
	// Private lets the server be at a private or loopback address.
	Private bool
	// UserAgent goes along; empty: none.
	UserAgent string
	// TimeNow is nil for time.Now.
	TimeNow func() time.Time
}

// Hook asks one server.
type Hook struct {
	cfg    Config
	key    []byte
	client *http.Client
}

// New returns a Hook. It opens no connection.
func New(cfg Config) (*Hook, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("webhook URL: %w", err)
	}
	key, err := Key(cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("webhook secret: %w", err)
	}
	if cfg.TimeNow == nil {
		cfg.TimeNow = time.Now
	}
	h := &Hook{cfg: cfg, key: key}
	h.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         dialer(cfg.Private).DialContext,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h, nil
}

// Close lets go of idle connections.
func (h *Hook) Close() { h.client.CloseIdleConnections() }

// CheckURL says why a URL cannot be asked, without repeating it: it may hold a
// password.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("begins neither with http:// nor with https://")
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.Fragment != "":
		return errors.New("has a part behind #, which no server gets to see")
	}
	return nil
}

// Key reads a secret.
func Key(secret string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("has %d bytes, not %d to %d", len(key), minSecret, maxSecret)
	}
	return key, nil
}

// question is the body of the request.
type question struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      call.Call `json:"data"`
}

// Ask asks what to do with a call. It returns within Timeout.
func (h *Hook) Ask(ctx context.Context, c call.Call) (call.Decision, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, Timeout, fmt.Errorf("no answer within %s", Timeout))
	defer cancel()
	req, err := h.request(bounded, c)
	if err != nil {
		return call.Decision{}, err
	}
	res, err := h.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL, which may hold a password
		}
		if cause := context.Cause(bounded); cause != nil {
			err = cause
		}
		return call.Decision{}, fmt.Errorf("ask webhook: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return call.Decision{}, fmt.Errorf("read answer of webhook: %w", err)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return call.Decision{}, fmt.Errorf("webhook answers with status %d: redirections are not followed", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return call.Decision{}, fmt.Errorf("webhook answers with status %d, not 200", res.StatusCode)
	case len(body) > maxAnswer:
		return call.Decision{}, fmt.Errorf("answer of webhook is larger than %d KB", maxAnswer>>10)
	}
	return read(res.Header.Get("Content-Type"), body)
}

// request writes the question and signs it.
func (h *Hook) request(ctx context.Context, c call.Call) (*http.Request, error) {
	now := h.cfg.TimeNow().UTC()
	body, err := json.Marshal(question{Type: "call.incoming", Timestamp: now.Truncate(time.Millisecond), Data: c})
	if err != nil {
		return nil, fmt.Errorf("write question for webhook: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("write question for webhook: the URL cannot be used")
	}
	id, stamp := "msg_"+rand.Text(), strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", h.cfg.UserAgent)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	req.Header.Set("Webhook-Signature", sign(h.key, id, stamp, body))
	return req, nil
}

// sign is the signature of version 1: "v1," and the base64 of the HMAC.
func sign(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// read takes the decision out of an answer.
func read(contentType string, body []byte) (call.Decision, error) {
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "application/json" {
		return call.Decision{}, fmt.Errorf("answer of webhook has type %.60q, not application/json", contentType)
	}
	var in struct {
		Action   string            `json:"action"`
		Code     int               `json:"code"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return call.Decision{}, errors.New(`answer of webhook is not what was asked for: {"action":"accept"} or {"action":"reject","code":486}, with "metadata" an object of texts`)
	}
	d := call.Decision{Accept: in.Action == "accept", Code: in.Code, Metadata: in.Metadata}
	if !d.Accept && in.Action != "reject" {
		return call.Decision{}, fmt.Errorf("action %.40q of webhook is neither accept nor reject", in.Action)
	}
	if err := d.Check(); err != nil {
		return call.Decision{}, fmt.Errorf("answer of webhook: %w", err)
	}
	return d, nil
}
