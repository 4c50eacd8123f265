package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Guarded is the API for callers that no file permission holds back: over TCP. Readiness and
// liveness are told to everyone, for they say nothing and whoever watches a container has no
// token; everything else needs the bearer token. The commands' own calls are not answered at
// all: they are made on the machine, and the log of who said what knows callers of the
// socket only.
//
// token is asked for at each call, so that a reload can replace it. An empty one lets nobody
// in.
func (s *Server) Guarded(token func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := r.URL.Path == "/livez" || r.URL.Path == "/readyz"
		switch {
		case !open && !bears(r, token()):
			w.Header().Set("WWW-Authenticate", `Bearer realm="moverisd"`)
			// What it was about to send is not read.
			w.Header().Set("Connection", "close")
			s.writeError(w, r, problem(http.StatusUnauthorized, "the call needs the bearer token of api.token"))
		case strings.HasPrefix(r.URL.Path, adminPrefix):
			s.writeError(w, r, problem(http.StatusForbidden, "the calls of the commands are answered on the socket only"))
		default:
			s.ServeHTTP(w, r)
		}
	})
}

// bears reports whether a request bears the token, in constant time: the digests have one
// length whatever was sent.
func bears(r *http.Request, token []byte) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	have, want := sha256.Sum256([]byte(strings.TrimLeft(given, " "))), sha256.Sum256(token)
	same := subtle.ConstantTimeCompare(have[:], want[:]) == 1
	return same && len(token) > 0 && strings.EqualFold(scheme, "Bearer")
}
