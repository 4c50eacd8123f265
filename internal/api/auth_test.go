package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Over TCP everything but readiness needs the bearer token, and the calls of the commands are
// not answered at all.
func TestGuarded(t *testing.T) {
	r := newRig(t)
	token := []byte("a-token-of-the-local-api")
	h := r.Guarded(func() []byte { return token })
	call := func(target, auth string) int {
		req := httptest.NewRequest("GET", target, nil)
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", target)
		}
		return w.Code
	}
	for _, c := range []struct {
		target, auth string
		want         int
	}{
		{"/v1/sessions", "Bearer a-token-of-the-local-api", 200},
		{"/v1/sessions", "bearer  a-token-of-the-local-api", 200},
		{"/v1/sessions", "", 401},
		{"/v1/sessions", "Bearer ", 401},
		{"/v1/sessions", "Bearer a-token-of-the-local-ap", 401},
		{"/v1/sessions", "Bearer a-token-of-the-local-api2", 401},
		{"/v1/sessions", "Basic a-token-of-the-local-api", 401},
		{"/v1/sessions", "a-token-of-the-local-api", 401},
		{"/v1/openapi.yaml", "", 401},
		{"/v1/nothing", "", 401},
		{"/livez/", "", 401},
		{"/v1/../livez", "", 401},
		{"/livez", "", 200},
		{"/readyz", "", 200},
		{"/v1/admin/deliveries", "", 401},
		{"/v1/admin/deliveries", "Bearer a-token-of-the-local-api", 403},
		{"/v1/admin/backup", "Bearer a-token-of-the-local-api", 403},
		{"/v1//admin/backup", "Bearer a-token-of-the-local-api", 404},
		{"/v1/sessions/../admin/backup", "Bearer a-token-of-the-local-api", 404},
		{"/v1/%61dmin/backup", "Bearer a-token-of-the-local-api", 403},
	} {
		if got := call(c.target, c.auth); got != c.want {
			t.Errorf("%s with %q: %d, want %d", c.target, c.auth, got, c.want)
		}
	}
	token = []byte("another-token-after-a-reload")
	if call("/v1/sessions", "Bearer a-token-of-the-local-api") != 401 || call("/v1/sessions", "Bearer another-token-after-a-reload") != 200 {
		t.Error("the token of before is still taken")
	}
	token = nil // without a token nobody is let in
	if call("/v1/sessions", "Bearer ") != 401 || call("/v1/sessions", "") != 401 {
		t.Error("an empty token lets callers in")
	}
}
