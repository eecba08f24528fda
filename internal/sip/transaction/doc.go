// Package transaction runs the SIP loop: one goroutine that owns all transactions and everything built on them.
//
// Messages are handled in the order in which they arrived, timers and functions
// handed to Layer.Do run in between, on the same goroutine. What is said to be
// "on the loop" must not block: dialling and DNS happen elsewhere and post back.
//
// Client and server transactions follow RFC 3261 section 17 with the
// corrections of RFC 6026. A panic while a message is handled is contained,
// counted and logged, and ends the transaction concerned.
//
// Usage: New, then Run in a goroutine. When the context of Run ends, nothing
// runs on the loop any more; Do and Receive then do nothing.
package transaction
