// Package dialog makes calls as SIP sees them: invite, answer, cancel, re-invite, session timer, bye.
//
// A UA places calls with Invite and hands those that come in to Config.Incoming;
// what happens arrives as events on the SIP loop, in order, ending with exactly
// one Ended. All state belongs to the loop
// of the transaction layer; methods that other goroutines may call say so and
// post there.
//
// One INVITE can be answered by several phones (RFC 3261 section 13.2.2.4): a
// Dialog is the call, and each answering phone a leg of it. One leg is kept,
// every other one gets ACK and BYE, also when its answer comes after the call
// has ended: nobody pays for a leg that nobody hears.
//
// A Recorder, if there is one, keeps what is needed to end calls after a crash:
// an INVITE leaves, and a 2xx is acknowledged, when its record is safe. UA.Left
// reads such records and ends their calls.
//
// Limitations: redirections (3xx) and REFER are not followed. Within an incoming
// call no challenge is answered, whoever sends it.
package dialog
