// Package api is the local API of applications and operators, and its client.
//
// It is HTTP with JSON on a unix socket. The commands use nothing else: the daemon alone
// holds secrets, the request budget and the right to write. What applications call is
// described by product section 7; what only the commands call lies under /v1/admin/.
//
// Errors are problem details (RFC 9457); [writeError] is the one place that maps errors to
// them. Every call has a limit on its body, its page and its wait.
package api
