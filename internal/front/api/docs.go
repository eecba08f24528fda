package api

import (
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"net/http"
	"strings"
)

// docsPage shows /openapi.json. It loads nothing from elsewhere.
//
//go:embed docs.html
var docsPage string

func (s *server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.openapi) // a client that is gone needs no answer
}

func (s *server) serveDocs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src "+
		inlineHash("<script>", "</script>")+"; style-src "+inlineHash("<style>", "</style>"))
	_, _ = w.Write([]byte(docsPage))
}

// inlineHash names the one inline block of the page that a browser may run.
func inlineHash(begin, end string) string {
	_, rest, _ := strings.Cut(docsPage, begin)
	text, _, _ := strings.Cut(rest, end)
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
