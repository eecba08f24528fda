package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
)

// client speaks REST as a customer would, over HTTP.
type client struct {
	base  string
	token string
	http  *http.Client
}

// callResource is what a customer reads of a call.
type callResource struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	Reason     string `json:"reason"`
	Codec      string `json:"codec"`
	SpeakURL   string `json:"speak_url"`
	ListenURL  string `json:"listen_url"`
	DurationMS int64  `json:"duration_ms"`
	SIP        struct {
		CallID string `json:"call_id"`
		Code   int    `json:"code"`
	} `json:"sip"`
}

// problem is a refusal (RFC 9457).
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

func newClient(at netip.AddrPort, token string) *client {
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return &client{base: "http://" + at.String(), token: token, http: &http.Client{Transport: &http.Transport{}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends one request and reads the answer into out, unless it is nil. A
// refusal is a *problem.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err // names method and address by itself
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 400 {
		p := &problem{Status: res.StatusCode}
		if json.Unmarshal(text, p) != nil || p.Code == "" {
			return fmt.Errorf("%s %s: %s without a problem document", method, path, res.Status)
		}
		return fmt.Errorf("%s %s: %w", method, path, p)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// pollEvery is how often a state is asked for that REST does not push.
const pollEvery = 20 * time.Millisecond

// until asks again and again, until the answer is the wanted one or time is up.
func until(ctx context.Context, ask func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready waits until calls can be placed.
func (c *client) ready(ctx context.Context) error {
	var last error
	err := until(ctx, func() (bool, error) {
		last = c.do(ctx, http.MethodGet, "/ready", nil, nil)
		var refused *problem
		if last != nil && !errors.As(last, &refused) && ctx.Err() == nil {
			return false, last // not even an answer: it will not get better
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// refused places a call that must be refused, and returns by which code.
func (c *client) refused(ctx context.Context, to string) (string, error) {
	var r callResource
	err := c.do(ctx, http.MethodPost, "/call", map[string]string{"to": to}, &r)
	var p *problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusForbidden:
		return p.Code, nil
	case err != nil:
		return "", err
	}
	return "", fmt.Errorf("the call to %s was accepted as %s", to, r.ID)
}

// final waits until a call is over.
func (c *client) final(ctx context.Context, id string) (callResource, error) {
	var r callResource
	err := until(ctx, func() (bool, error) {
		if err := c.do(ctx, http.MethodGet, "/v1/calls/"+id, nil, &r); err != nil {
			return false, err
		}
		return r.Status != "queued" && r.Status != "ringing" && r.Status != "in-progress", nil
	})
	return r, err
}
