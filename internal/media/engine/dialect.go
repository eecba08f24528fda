package engine

import "phonesocket/internal/media/session"

// Dialect is the language of the text messages on a WebSocket. It must be usable from
// several goroutines at once: one value serves many sockets.
type Dialect interface {
	// Parse reads one text message of a client, valid UTF-8, and gives the commands in it to
	// to. The message is valid during the call only. A *TextError becomes an error event for the
	// client, which stays connected.
	Parse(to Commands, message []byte) error
	// AppendEvent appends the text message that tells e, and reports false when this dialect does not tell it.
	AppendEvent(dst []byte, e session.Event) ([]byte, bool)
}

// Commands is what a client may ask for by text.
type Commands interface {
	// Mark asks to be told when the audio sent so far was spoken.
	Mark(name string)
	// Clear throws away the audio that was sent and not spoken yet.
	Clear()
}

// TextError says what is wrong with a text message of a client.
type TextError struct {
	// Code is for machines, Message for people: it names the cure.
	Code, Message string
}

func (e *TextError) Error() string { return e.Code + ": " + e.Message }

// Codes of error events that the engine itself sends; those of the session come on top.
const (
	// CodeDropped: this listener reads too slowly and lost audio.
	CodeDropped = "dropped"
	// CodeWrongSocket: the message belongs on the other port.
	CodeWrongSocket = "wrong_socket"
	// CodeBadMessage: a text message could not be understood.
	CodeBadMessage = "bad_message"
	// CodeNotAttached: the call could not take this socket.
	CodeNotAttached = "not_attached"
)
