package gateway

import (
	"phonesocket/internal/call"
	"phonesocket/internal/front/webhook"
	"phonesocket/internal/sip/dialog"
)

// inbound turns the settings into the rules for calls that come in.
func (g *Gateway) inbound() (call.InboundRules, error) {
	in := g.cfg.Inbound
	rules := call.InboundRules{AcceptUndecided: in.Fallback == "accept", AnswerAtOnce: in.Answer == "now"}
	if in.Mode != "ask" {
		return rules, nil
	}
	var err error
	g.hook, err = webhook.New(webhook.Config{
		URL: in.WebhookURL, Secret: in.WebhookSecret.Reveal(), Private: in.WebhookPrivate, UserAgent: g.userAgent,
	})
	if err == nil {
		rules.Ask = g.hook.Ask
	}
	return rules, err
}

// incoming hands a call over to the exchange; nil where none is taken.
func (g *Gateway) incoming() func(dialog.Arrival) (func(dialog.Event), int) {
	if g.cfg.Inbound.Mode == "reject" {
		return nil
	}
	return func(a dialog.Arrival) (func(dialog.Event), int) {
		return g.calls.Incoming(call.Arrival{Leg: a.Dialog, From: a.From, FromName: a.FromName, To: a.To, Offer: a.Offer})
	}
}
