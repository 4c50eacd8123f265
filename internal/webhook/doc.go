// Package webhook is the HTTP edge of deliveries: limits, the signature, status codes.
//
// A delivery passes these steps, each of which may refuse it: path, method, media type,
// size, signature over the raw bytes, commit. Limits come before authentication, so that
// strangers cost little, and authentication before parsing, so that strangers reach no
// parser. What is signed by one of our secrets is never refused for its content: what
// cannot be used is kept as a dead letter and acknowledged, because a sender that is told
// "no" may stop sending.
//
// The package knows no database. It is given functions that return after the commit, and
// answers 204 only then.
package webhook
