// Package registration keeps one account registered at its provider: register, refresh, back off, give up the lease.
//
// A Registration is a state machine on the SIP loop of the transaction layer.
// [Registration.Run] drives it until its context ends, and waits for DNS on its
// own goroutine, so that nothing blocks the loop. Path and Status may be read
// from any goroutine.
package registration
