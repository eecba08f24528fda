package policy

import "time"

// Code names the rule that refused a call. Codes are part of the API and stay.
type Code string

// The rules.
const (
	InvalidNumber   Code = "invalid_number"   // not a number, or not a complete one
	EmergencyNumber Code = "emergency_number" // police, fire, ambulance, crisis lines
	PremiumNumber   Code = "premium_number"   // extra charges
	SatelliteNumber Code = "satellite_number" // satellite telephony and networks of no country
	ServiceNumber   Code = "service_number"   // helplines and public services
	ForeignCountry  Code = "foreign_country"  // not a country that is allowed
	ForeignHost     Code = "foreign_host"     // a SIP host that is not the account's
	FeatureCode     Code = "feature_code"     // * and # switch things at the provider
	TooManyCalls    Code = "too_many_calls"   // as many calls as allowed are running
	CallsPerMinute  Code = "calls_per_minute" // calls come too fast
)

// Denied is a refusal. Message and Cure are safe to show to the caller and hold
// at most the leading digits of what was dialled.
type Denied struct { //nolint:errname // It is an answer to a caller first and an error second.
	Code       Code
	Message    string        // the cause, a sentence without full stop
	Cure       string        // what to do about it, a sentence without full stop
	RetryAfter time.Duration // when to try again; 0: unknown or never
}

// Error returns cause and cure.
func (d *Denied) Error() string {
	if d.Cure == "" {
		return d.Message
	}
	return d.Message + "; " + d.Cure
}

// Throttled says whether the same call may pass later (HTTP 429), rather than
// never under these rules (HTTP 403).
func (d *Denied) Throttled() bool { return d.Code == TooManyCalls || d.Code == CallsPerMinute }

func invalid(message, cure string) *Denied {
	return &Denied{Code: InvalidNumber, Message: message, Cure: cure}
}
