// Package moveris is the outside party: everything moverisd knows about Moveris'
// wire, and nothing about what follows from it.
//
// # The one idea
//
// Whatever comes from Moveris leaves this package as the same value, a
// [verdict.Observation], or it leaves as nothing that could be mistaken for one. A
// delivery comes in by [Verifier.Match] and [ParseWebhook], a handed-over result by
// [ParseSubmission], an answer of the API by [Client.Ask]. All three are read by the
// same code, [facts], with exact keys and exact types, so that no form can be taken
// for another and no number for a word.
//
// # Reading
//
// A body is checked to be JSON as a whole first; after that it is walked by spans
// without a second look at its syntax. Of a repeated key the last one counts, as in
// Moveris' own Python. Unknown keys are ignored, null is the same as absent, words are
// trimmed and lower-cased in ASCII only. A value of the wrong type makes the whole
// body unusable: a signed one becomes a dead letter, an answer becomes no answer.
//
// # Asking
//
// One [Client] serves one account: it owns the request budget ([bucket]), the routes
// with what they answered so far, a circuit breaker for each, and whether the account
// is stopped. A request passes, in this order, the account's gate (stopped, or told to
// wait), the route's gate (denied, told to wait, breaker), the bucket, and the gate
// once more, for much can happen while it waits for a token. An answer is concluded by
// a pure function, [conclude], and only then changes the state.
//
// Three things are kept apart all the way: a word about the session, a "not there" of
// every usable route, and everything else, which is no answer and never counts.
//
// # What is taken from go-retryablehttp
//
// Its loop, and none of its defaults: the policy, the waits, the error handler, the
// log lines, the timeouts and the bodies are those of [call]. It never sees a 429, a
// redirect, a body over the limit, or a wait longer than a moment.
package moveris
