package api

import (
	_ "embed"
	"net/http"
)

// document is the description of the API, for people and for programs that make clients. A
// test holds it and the handlers together.
//
//go:embed openapi.yaml
var document []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	// The connection is gone if this fails.
	_, _ = w.Write(document)
	return nil
}
