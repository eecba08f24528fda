// Package api serves REST: one table of operations, and an OpenAPI 3.1 document of the same structs.
//
// [New] returns the handler of the REST port. Every refusal is a problem document
// (RFC 9457) with a code for machines: what a router, a validator or a panic
// would say otherwise goes through the same door. [Guard] decides who may ask;
// the doors of the audio sockets use the same one.
//
// A request carries no state beyond itself: idempotency keys live with the calls
// ([call.Exchange]), where a key and its call are made together.
//
// Time-outs of connections are those of the http.Server that this handler is given to.
package api
