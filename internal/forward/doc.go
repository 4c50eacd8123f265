// Package forward brings events to applications: the outbox of the store to the targets of
// the configuration, by the Standard Webhooks scheme.
//
// The one idea: the store is the queue. An event is put into the outbox in the transaction
// that writes it, and leaves it in the transaction that records the target's 2xx. In between
// the store makes the JSON that is sent, once, of the session as it was at the time of the
// event (store/outbox_moment.go). What lies in this package's memory may be lost at any time: an
// event is then sent once more, with the same id and the same JSON. So it arrives at least
// once, and the id makes it exactly once for a receiver that remembers ids.
//
// Of the events of one session only the oldest has its turn (package store keeps that), so
// their order is kept however many are sent at a time. An event that cannot be brought to its
// target becomes a dead letter at last, and the next one of its session goes on.
//
// Every target has a goroutine that claims what is due ([target.run]), some that send, and a
// health: while nothing comes through, one attempt at a time probes it, ever more rarely.
// What came of attempts is written by one goroutine, many in a transaction ([Forwarder.record]).
// The decisions are in retry.go, pure functions of what was answered and when.
package forward
