// Package daemon wires the rooms together: configuration, store, listeners, cron, systemd,
// and the order in which they start and stop.
//
// Start: the configuration is read and checked, the webhook's address is bound, the store is
// opened, the API's socket is made, and only then anything is served. Whatever fails before
// leaves nothing behind. Stop is the reverse: no new sweep, what was accepted is answered,
// callers that wait are sent home, and the store is closed last.
package daemon
