// Package call owns the calls: it places them, follows what happens to them and ends them.
//
// An [Exchange] holds all calls of the process. [Exchange.Dial] checks a request
// against the dial policy and the limits, opens the sound of the call, tells the
// sockets of the line about it and then sends the INVITE. From then on one
// goroutine per call is the only writer of its state; events of SIP, facts of
// the media and commands of the API are posted into its inbox, never blocking
// the one who posts. Readers get snapshots ([Call]), which nobody changes.
//
// [Exchange.Run] starts the goroutines and waits for them; a call ends by
// [Exchange.Hangup], by its timers, by the other side, by [Exchange.Drain], or
// when the context of Run ends. All methods may be called from any goroutine.
//
// The SDP goes through this package as bytes: sip and media do not know each other.
// The sound does not go through it at all.
package call
