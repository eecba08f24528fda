// Package transport moves SIP messages over UDP, TCP and TLS and guards the parser behind the sockets.
//
// One UDP socket listens and sends. TCP and TLS flows are opened by us, on the
// first message for a target. Messages of one source arrive through
// Config.Receive in the order in which they were received: there is one reader
// per socket and no goroutine per message.
//
// Nothing here blocks the caller: Send hands the bytes to the kernel (UDP) or to
// the bounded queue of a flow, and what goes wrong comes back through
// Config.Broken. Reconnecting is the business of the caller: after Broken the
// next Send opens a new flow.
//
// Limitations: no listening for TCP or TLS (requests of the peer arrive on the
// flow that we opened), no WebSocket, no SCTP.
package transport
