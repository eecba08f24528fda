// Package phonenet is a telephone network in a box: a registrar with digest and scripted callees that really send and hear sound.
//
// It is the partner of the demo and of the tests. It shares no code with the
// gateway's own sip and media packages, so that a mistake in those cannot be
// cancelled out by the same mistake here.
//
//	n, err := phonenet.Start(ctx, phonenet.Config{Users: map[string]string{"alice": "secret"}})
//	defer n.Close()
//	// point the gateway at n.Addr(), then:
//	_, err = n.WaitRegistered(ctx, "alice")
//	call, err := n.WaitState(ctx, phonenet.StateConfirmed)
//
// # Numbers
//
// A caller dials a number or a name. The prefixes +49, 0049 and 0 are dropped;
// of what remains the last three digits choose the script, so that 100,
// 0301234100 and +49301234100 are all the echo. The name of a script works too
// (sip:echo@…).
//
//	100  echo      answers at once and sends every packet back
//	101  speaker   answers, says a short recorded phrase, then stays silent
//	102  busy      486 Busy Here
//	103  ringing   rings for ever (until RingLimit)
//	104  decline   603 Decline
//	105  hangup    answers and hangs up after 2 s                  (after=)
//	106  early     183 with a ringing tone, answers after 2 s, then the phrase (ring=)
//	107  silent    answers and never sends a packet
//	108  late      rings for 3 s, then is the echo                 (ring=)
//	109  hold      echo that holds the caller after 2 s, for 2 s   (after=, hold=)
//	111  comfort   answers and sends silence for ever
//	112 and 110 are not served: nothing here looks like an emergency call
//	3xx  moved     that status with a Contact of the echo
//	4xx, 5xx, 6xx  that status; 503 comes with Retry-After
//
// Every other number is 404 Not Found. A knob in brackets is a parameter of the
// Request-URI with a Go duration: sip:105@host;after=500ms. The parameter
// codec=PCMU makes any callee choose that codec. Config.Scripts adds callees or
// replaces them.
//
// # Concurrency
//
// One goroutine, the loop, owns registrations, transactions and calls; it
// handles messages in the order in which they arrived. Each call's RTP has one
// goroutine that owns its socket, its clock and its statistics. All methods of
// Net may be called from any goroutine and do not wait for the network unless
// they take a context.
//
// # Limits
//
// Calls, transactions, connections, bindings and recordings are bounded; a call
// ends by itself when no RTP arrives for a minute, when it rings too long and
// when it lasts too long. It trusts those who can reach it: it belongs on
// loopback or on a test network.
package phonenet
