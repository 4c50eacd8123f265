package sim

import (
	"net/http"
	"strconv"
)

// The error bodies that have been seen (contract §4). Each function is one
// numbered shape there; the order of the fields is that of the contract.

// errEnvelope is shape 1, the API's own.
func errEnvelope(status int, code, text string) *answer {
	return newAnswer(status, struct {
		Data    any                   `json:"data"`
		Success bool                  `json:"success"`
		Message string                `json:"message"`
		Errors  []map[string][]string `json:"errors"`
	}{nil, false, text, []map[string][]string{{code: {text}}}})
}

// errWrapped is shape 2: another service's error as a Python dict printed
// inside a string. The apostrophe makes Python change its quotes half way.
func errWrapped(status int) *answer {
	return newAnswer(status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{"http_error", `{'error': 'session_expired', 'message': "The session can't be continued", 'retryable': False, 'session_id': None}`})
}

// errCode is shape 3.
func errCode(status int, code, text string) *answer {
	return newAnswer(status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{code, text})
}

// errRetryAfter is shape 4, with the header beside the field.
func errRetryAfter(status int, seconds int) *answer {
	a := newAnswer(status, struct {
		Error      string `json:"error"`
		Message    string `json:"message"`
		RetryAfter int    `json:"retry_after"`
	}{"rate_limit_exceeded", "Too many requests", seconds})
	a.header.Set("Retry-After", strconv.Itoa(seconds))
	return a
}

// errDetail is shape 5.
func errDetail(status int, text string) *answer {
	return newAnswer(status, struct {
		Detail string `json:"detail"`
	}{text})
}

// errHTML and errEmpty are shape 6, what a gateway says.
func errHTML(status int) *answer {
	a := newAnswer(status, []byte("<html>\r\n<head><title>"+http.StatusText(status)+"</title></head>\r\n<body>\r\n<center><h1>"+
		strconv.Itoa(status)+" "+http.StatusText(status)+"</h1></center>\r\n</body>\r\n</html>\r\n"))
	a.header.Set("Content-Type", "text/html")
	return a
}

func errEmpty(status int) *answer {
	a := newAnswer(status, []byte{})
	a.header.Del("Content-Type")
	return a
}

// errStatus answers a bare status with the body that goes with it.
func errStatus(status int) *answer {
	switch status {
	case http.StatusUnauthorized:
		return errEnvelope(status, "invalid_key", "Invalid API key")
	case http.StatusPaymentRequired:
		return errEnvelope(status, "insufficient_credits", "Insufficient credits")
	case http.StatusForbidden:
		return errDetail(status, "Forbidden") // a missing scope; shape UNDOC, our choice
	case http.StatusNotFound:
		return errEnvelope(status, "session_not_found", "Session not found")
	case http.StatusInternalServerError:
		return errCode(status, "internal_error", "Internal server error")
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return errHTML(status)
	}
	return errCode(status, "http_error", http.StatusText(status))
}
