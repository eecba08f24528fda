package dialog

// An Event is what happened to a call: Ringing, Early, Answered, Reoffer,
// Renegotiated or Ended. Events arrive on the SIP loop and must be taken
// without blocking.
type Event interface{ event() }

// Ringing says that the callee's side answered provisionally. Each code comes
// once; a later one may be lower.
type Ringing struct {
	// Code is 180 to 189, or 199.
	Code int
}

// Early says that there is sound before the call is answered.
type Early struct {
	// SDP is the answer to the offer so far. The next Early replaces it:
	// another phone may ring by now.
	SDP []byte
}

// Answered says that the call is up; the ACK has been sent.
type Answered struct {
	// SDP is the answer to the offer.
	SDP []byte
}

// Reoffer says that the peer wants to change the session. The owner calls
// Accept or Reject once, from any goroutine, within 10 s.
type Reoffer struct {
	// SDP is the new offer.
	SDP []byte
	// Accept sends the answer to the offer.
	Accept func(sdp []byte)
	// Reject refuses the offer, usually with 488; the call goes on as it was.
	Reject func(code int)
}

// Renegotiated says that the peer has asked for our offer again, which was the
// one sent last, and has answered it differently from before.
type Renegotiated struct {
	// SDP is the new answer.
	SDP []byte
}

// Ended says that the call is over; it is the last event.
type Ended struct {
	Cause Cause
}

func (Ringing) event()      {}
func (Early) event()        {}
func (Answered) event()     {}
func (Reoffer) event()      {}
func (Renegotiated) event() {}
func (Ended) event()        {}
