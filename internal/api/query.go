package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// adminPrefix is where the calls lie that only the commands make.
const adminPrefix = "/v1/admin/"

// parameters are the query parameters of each call that applications make; a call that is
// not here has none. openapi.yaml says what they mean, and a test holds the two together.
func parameters() map[string][]string {
	return map[string][]string{
		"PUT /v1/sessions/{id}":               {"account"},
		"POST /v1/sessions":                   {"account"},
		"DELETE /v1/sessions/{id}":            {"account"},
		"GET /v1/sessions/{id}":               {"account", "raw", "wait"},
		"GET /v1/sessions":                    {"account", "after", "conflict", "limit", "outcome", "since", "source", "state"},
		"POST /v1/sessions/{id}/observations": {"account"},
		"POST /v1/sessions/{id}/poll":         {"account"},
		"GET /v1/events":                      {"after", "limit", "store", "wait"},
	}
}

// checkQuery refuses parameters that a call does not have, and those said twice: whoever
// misspells "account" or "state" must not get the answer to another question. The commands'
// own calls are made by one client only and are let be.
func checkQuery(r *http.Request, known []string) error {
	if strings.Contains(r.Pattern, " "+adminPrefix) {
		return nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem(http.StatusBadRequest, "the query cannot be read")
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			text := "it takes none"
			if len(known) > 0 {
				text = "it takes " + strings.Join(known, ", ")
			}
			return problem(http.StatusBadRequest, "%.40q is no parameter of this call; %s", name, text)
		case len(values) > 1:
			return problem(http.StatusBadRequest, "the parameter %s is given %d times", name, len(values))
		}
	}
	return nil
}

// flagOf reads a parameter that is on or off.
func flagOf(r *http.Request, name string) (bool, error) {
	switch r.URL.Query().Get(name) {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, problem(http.StatusBadRequest, "%s is 1 or 0", name)
}

// accountOf is the account that a call names in its query or its body; they must agree.
func accountOf(r *http.Request, said string) (string, error) {
	asked := r.URL.Query().Get("account")
	switch {
	case said == "":
		return asked, nil
	case asked != "" && asked != said:
		return "", problem(http.StatusBadRequest, "the account of the body differs from that of the query")
	}
	return said, nil
}
