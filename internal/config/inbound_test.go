package config

import (
	"strings"
	"testing"
)

func TestAWebhookNeedsItsURLAndItsSecret(t *testing.T) {
	const url, key = "INBOUND_WEBHOOK_URL=https://bot.example.com/calls", "INBOUND_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for name, tt := range map[string]struct {
		environ []string
		problem string // or "" for none
		warning string // or "" for none
	}{
		"nothing":               {nil, "", ""},
		"all of it":             {[]string{"INBOUND=ask", url, key}, "", ""},
		"no URL":                {[]string{"INBOUND=ask", key}, "INBOUND_WEBHOOK_URL", ""},
		"no secret":             {[]string{"INBOUND=ask", url}, "INBOUND_WEBHOOK_SECRET", ""},
		"a URL without use":     {[]string{"INBOUND=accept", url}, "", "INBOUND_WEBHOOK_URL has no effect"},
		"plain text":            {[]string{"INBOUND=ask", strings.Replace(url, "https", "http", 1), key}, "", "not encrypted"},
		"no URL at all":         {[]string{"INBOUND_WEBHOOK_URL=bot.example.com"}, "neither with http://", ""},
		"no host":               {[]string{"INBOUND_WEBHOOK_URL=https:///calls"}, "names no host", ""},
		"a part for browsers":   {[]string{"INBOUND_WEBHOOK_URL=https://x/#y"}, "behind #", ""},
		"what no parser reads":  {[]string{"INBOUND_WEBHOOK_URL=https://[x"}, "cannot be read", ""},
		"a secret of words":     {[]string{"INBOUND_WEBHOOK_SECRET=my dog"}, "not base64", ""},
		"a short secret":        {[]string{"INBOUND_WEBHOOK_SECRET=whsec_aHVudGVyMg=="}, "too short", ""},
		"an unknown mode":       {[]string{"INBOUND=maybe"}, "INBOUND", ""},
		"a mistyped name":       {[]string{"INBOUND_ANSWERS=now"}, "", "did you mean INBOUND_ANSWER?"},
		"a moment that is none": {[]string{"INBOUND_ANSWER=later"}, "INBOUND_ANSWER", ""},
	} {
		t.Run(name, func(t *testing.T) {
			environ := append([]string{"SIP_SERVER=a.example", "SIP_USER=u", "SIP_PASSWORD=p"}, tt.environ...)
			cfg, err := Load(environ)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "my dog") {
					t.Errorf("got %v, want a problem with %q", err, tt.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warnings := strings.Join(cfg.Warnings, " ")
			if tt.warning == "" && warnings != "" || !strings.Contains(warnings, tt.warning) {
				t.Errorf("warnings %q, want %q", warnings, tt.warning)
			}
		})
	}
}
