package sim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// faultKind is one entry of the catalogue: either it makes an answer that
// takes the place of the right one, or it changes whatever answer there is.
type faultKind struct {
	name    string
	form    string // of the value, "" for none, in brackets where it may be left out
	valid   func(value string) error
	replace func(call) *answer // nil: the right answer after all
	change  func(call, *answer)
}

// check judges a value before the fault is switched on.
func (k faultKind) check(value string) error {
	switch {
	case k.form == "" && value != "":
		return fmt.Errorf("%s takes no value", k.name)
	case value == "" && strings.HasPrefix(k.form, "="):
		return fmt.Errorf("%s needs a value: %s%s", k.name, k.name, k.form)
	case value != "" && k.valid != nil:
		return k.valid(value)
	}
	return nil
}

// faultKinds is the catalogue, in the order in which they strike: what never
// answers, what answers something else, what changes the result, what changes
// the envelope, what spoils the transport.
func faultKinds() []faultKind {
	return slices.Concat(noAnswers(), otherAnswers(), resultFaults(), envelopeFaults(), transportFaults(),
		[]faultKind{{name: "webhooks-off"}}) // struck where deliveries are made
}

func kindOf(name string) (faultKind, bool) {
	kinds := faultKinds()
	i := slices.IndexFunc(kinds, func(k faultKind) bool { return k.name == name })
	if i < 0 {
		return faultKind{}, false
	}
	return kinds[i], true
}

func noAnswers() []faultKind {
	by := func(m manner) func(call) *answer {
		return func(call) *answer {
			a := newAnswer(http.StatusOK, []byte{})
			a.manner = m
			return a
		}
	}
	return []faultKind{
		{name: "api-off", replace: by(closed)},
		{name: "reset", replace: by(reset)},
		{name: "hang", replace: by(silent)},
		{name: "huge", replace: by(endless)},
	}
}

func otherAnswers() []faultKind {
	kinds := []faultKind{
		{name: "key-revoked", replace: keyRevoked},
		{name: "redirect", form: "=URL", valid: validURL, replace: redirect},
		{name: "flap", replace: flap},
		shaped("error-envelope", 422, func(s int) *answer { return errEnvelope(s, "validation_error", "Validation failed") }),
		shaped("error-wrapped", 500, errWrapped),
		shaped("error-code", 404, func(s int) *answer { return errCode(s, "session_not_found", "Session not found") }),
		shaped("error-retry-after", 429, func(s int) *answer { return errRetryAfter(s, 30) }),
		shaped("error-detail", 404, func(s int) *answer { return errDetail(s, "Not Found") }),
		shaped("error-html", 502, errHTML),
		shaped("error-empty", 503, errEmpty),
		{name: "retry-after", form: "=" + strings.Join(retryAfterForms(), "|"), valid: validRetryAfter, replace: retryAfter},
	}
	for _, status := range []int{401, 402, 403, 404, 408, 500, 502, 503} {
		kinds = append(kinds, faultKind{
			name:    "status-" + strconv.Itoa(status),
			replace: func(call) *answer { return errStatus(status) },
		})
	}
	return kinds
}

// shaped is an error body whose usual status a value can change.
func shaped(name string, usual int, body func(status int) *answer) faultKind {
	valid := func(value string) error {
		if n, err := strconv.Atoi(value); err != nil || n < 400 || n > 599 {
			return fmt.Errorf("the value is a status from 400 to 599")
		}
		return nil
	}
	return faultKind{name: name, form: "[=STATUS]", valid: valid, replace: func(c call) *answer {
		if n, err := strconv.Atoi(c.value); err == nil {
			return body(n)
		}
		return body(usual)
	}}
}

// keyRevoked leaves alone what needs no key.
func keyRevoked(c call) *answer {
	if !strings.HasPrefix(c.r.URL.Path, "/api/") {
		return nil
	}
	return errStatus(http.StatusUnauthorized)
}

// redirect names another host, which must never be sent the key.
func redirect(c call) *answer {
	a := newAnswer(http.StatusFound, []byte{})
	a.header.Set("Location", c.value)
	return a
}

func validURL(value string) error {
	if u, err := url.Parse(value); err != nil || u.Host == "" {
		return fmt.Errorf("the value is a URL with a host")
	}
	return nil
}

// flap answers right first, then wrong, in turn.
func flap(c call) *answer {
	if c.hit%2 == 1 {
		return nil
	}
	return errStatus(http.StatusInternalServerError)
}

func retryAfterForms() []string {
	return []string{"0", "3600", "year9999", "negative", "garbage", "imf", "rfc850", "asctime"}
}

func validRetryAfter(value string) error {
	if n, err := strconv.Atoi(value); (err != nil || n < 0) && !slices.Contains(retryAfterForms(), value) {
		return fmt.Errorf("the value is a number of seconds or one of %s", strings.Join(retryAfterForms(), ", "))
	}
	return nil
}

// retryAfter sends a 429 whose header is in one of the forms that HTTP knows
// or that servers make up. The dates are half a minute ahead. The body has no
// retry_after, so that only the header can be followed.
func retryAfter(c call) *answer {
	a := errCode(http.StatusTooManyRequests, "rate_limited", "Too many requests")
	soon := c.now.UTC().Add(30 * time.Second)
	text := c.value
	switch c.value {
	case "year9999":
		text = "Fri, 31 Dec 9999 23:59:59 GMT"
	case "negative":
		text = "-5"
	case "garbage":
		text = "in a while"
	case "imf":
		text = soon.Format(http.TimeFormat)
	case "rfc850":
		text = soon.Format("Monday, 02-Jan-06 15:04:05 GMT")
	case "asctime":
		text = soon.Format(time.ANSIC)
	}
	a.header.Set("Retry-After", text)
	return a
}
