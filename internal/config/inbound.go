package config

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// The shortest and the longest key of a webhook, in bytes, as Standard Webhooks say.
const minKey, maxKey = 24, 64

func readURL(_ variable, value string) (string, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return "", errors.New("cannot be read as a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("begins neither with http:// nor with https://")
	case u.Hostname() == "":
		return "", errors.New("names no host")
	case u.Fragment != "":
		return "", errors.New("has a part behind #, which no server gets to see")
	}
	return value, nil
}

func readKey(_ variable, value string) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, "whsec_"))
	if err != nil {
		return "", errors.New("is not base64")
	}
	if len(key) < minKey || len(key) > maxKey {
		return "", errors.New("is too short or too long")
	}
	return value, nil
}

// checkInbound wants whom to ask, and points at settings that do nothing.
func (l *loader) checkInbound(in Inbound) {
	asks := in.Mode == "ask"
	if asks && in.WebhookURL == "" {
		l.problem("INBOUND_WEBHOOK_URL", "", "is missing with INBOUND=ask; expected an http or https URL")
	}
	if asks && in.WebhookSecret.Empty() {
		l.problem("INBOUND_WEBHOOK_SECRET", "", "is missing with INBOUND=ask; expected base64 of 24 to 64 random bytes, such as openssl rand -base64 32 gives")
	}
	if !asks && in.WebhookURL != "" {
		l.warn("INBOUND_WEBHOOK_URL has no effect with INBOUND=%s; set INBOUND=ask to ask it about calls.", in.Mode)
	}
	if asks && strings.HasPrefix(in.WebhookURL, "http:") && !in.WebhookPrivate {
		l.warn("INBOUND_WEBHOOK_URL is not encrypted: who calls whom can be read, and the answers changed, on the way; use https.")
	}
}
