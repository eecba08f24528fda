package dialog

import (
	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// Path tells how requests leave for the provider.
type Path struct {
	// Target is the pinned address of the provider or of its outbound proxy.
	Target transport.Target
	// Route is the preloaded route set.
	Route []sip.Uri
	// Contact is our address as the outside sees it.
	Contact sip.Uri
}
