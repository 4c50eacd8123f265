// Package gateway is the recording pass-through: a process of its own, without the store.
//
// An application that uses Moveris' SDK sets its base URL to it. Every request goes on to the
// base URL of the account whose key it carries, and every answer comes back, byte for byte
// and as it streams. On the way the gateway notes two things: the session_id that a check is
// about, and the verdict that its answer may hold. It expects the session and submits the
// verdict at the daemon's socket, so that a backend gets complete bookkeeping by changing one
// URL.
//
// The one idea: the pass-through owes the recording nothing. What is noted goes into a
// bounded queue that is never waited for ([recorder]); when the daemon is stopped, hangs or
// fails, notes are dropped and counted, and no byte and no timing of an answer changes. In
// the other direction it owes the requests everything: bodies are megabytes of somebody's
// face, so they are neither kept nor logged. A request's body is scanned as it passes
// ([scanner]); of an answer at most [answerMax] bytes are looked at, and what is submitted of
// it are the fields of a result and nothing else.
//
// It is no open proxy: only the configured hosts are contacted, whatever a request says, and
// redirects are passed through rather than followed.
package gateway
