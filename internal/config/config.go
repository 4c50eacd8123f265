// Package config turns the configuration file and the secrets it refers to
// into one checked Config, or into the list of everything that is wrong.
//
// The one idea: nothing is guessed, and nothing is reported one at a time.
// The file is parsed into a tree that remembers the position of every key and
// value (tree.go). Each table is then read key by key with its default and
// its checks (section.go, tables.go, account.go); reading goes on after a
// fault with the default in place, so that one run of `config check` shows all
// problems in file order. A key that no reader asked for is unknown, so the
// readers are the schema and there is no second list to keep in step.
//
// A secret is never in the file. The file holds references, which are resolved
// here (resolve.go) into a Secret: a value that every way of printing shows as
// its reference only. For the same reason no message repeats a value from the
// file, save names and labels that must be unique: whoever pastes a key into
// the wrong line does not find it in the journal.
//
// The package reads the configuration file and the files of secrets. It starts
// nothing, knows no other package of ours, and sees the environment only
// through Environment. Schedules are judged by the caller's
// Options.CheckSchedule, because the daemon alone knows cron.
package config

import (
	"io/fs"
	"time"
)

// Config is a configuration that has passed every check. Its comments are the
// manual of the file; the key of a field is its name in snake case. Durations
// are whole seconds, at least one second and at most 36500 days.
type Config struct {
	// Path is the file that was read.
	Path string

	Webhook   Webhook   // [webhook]: the listener for Moveris
	API       API       // [api]: the local API for applications and commands
	Observe   Observe   // [observe]: read-only HTTP for monitoring
	Store     Store     // [store]: the database
	Poll      Poll      // [poll]: asking for sessions whose webhook never came
	Retention Retention // [retention]: how long things are kept
	Backup    Backup    // [backup]: regular copies of the store
	Gateway   Gateway   // [gateway]: the recording pass-through, a process of its own

	// Accounts, at least one, with unique names. [[account]]
	Accounts []Account
	// Forwards, none by default, with unique names. [[forward]]
	Forwards []Forward
	// Alerts, none by default. [[alert]]
	Alerts []Alert
}

// Webhook is the listener that receives deliveries from Moveris.
type Webhook struct {
	// Listen is host:port with a numeric port; port 0 takes any free one. A
	// socket named "webhook" inherited from systemd wins when its address fits.
	Listen string
	// Path begins with "/"; deliveries are accepted at exactly this path.
	Path string
	// BodyMax is the largest body in bytes, 1 KiB to 16 MiB.
	BodyMax int64
	// TLSCert and TLSKey are PEM files; both are set, or neither, which means
	// plain HTTP behind a proxy. They are read again when they change.
	TLSCert, TLSKey string
}

// API is the local API.
type API struct {
	// Socket is the path of the Unix socket, at most 107 bytes.
	Socket string
	// SocketMode holds the permission bits of the socket, written in octal
	// ("0660"). Whoever can write to the socket can use the whole API.
	SocketMode fs.FileMode
	// Listen is host:port of the same API over TCP, for containers; empty
	// means off. It needs Token.
	Listen string
	// Token is the bearer token for Listen; unset when Listen is empty.
	Token Secret
	// TLSCert and TLSKey are PEM files for Listen; both or neither.
	TLSCert, TLSKey string
}

// Observe is the read-only HTTP listener for monitoring.
type Observe struct {
	// Listen is host:port on a loopback host, because the listener asks for
	// no password; empty means off.
	Listen string
}

// Store is the SQLite database.
type Store struct {
	// Path is the database file; its directory also holds status.json.
	Path string
}

// Poll rules how Moveris is asked for sessions that no webhook settled.
type Poll struct {
	// Schedule is the cron spec of the sweep.
	Schedule string
	// GracePeriod is the time the webhook gets before the first poll.
	GracePeriod time.Duration
	// GiveUpAfter is counted from the end of the grace period; an unanswered
	// session then becomes missing.
	GiveUpAfter time.Duration
	// BackoffMin and BackoffMax bound the wait between two attempts for one
	// session; BackoffMin is not above BackoffMax.
	BackoffMin, BackoffMax time.Duration
	// Concurrency is the number of requests in flight at a time, 1 to 64.
	Concurrency int
	// RetryAfterMax caps the Retry-After that Moveris asks for.
	RetryAfterMax time.Duration
}

// Retention rules how long things are kept. In this table alone 0 is allowed;
// it keeps for ever.
type Retention struct {
	// Schedule is the cron spec of the clean-up.
	Schedule string
	// Settled counts from the last observation; it also rules missing and
	// withdrawn sessions and attempts, and the age at which a delivery is stale.
	Settled time.Duration
	// DeadLetters counts from the arrival of the dead letter.
	DeadLetters time.Duration
	// Events counts from the event; a cursor older than this answers 410.
	Events time.Duration
}

// Backup is the regular online copy of the store.
type Backup struct {
	// Dir receives the copies; empty means off.
	Dir string
	// Schedule is the cron spec of the copy.
	Schedule string
	// Keep is the number of copies left in Dir, 1 to 1000; older ones go.
	Keep int
}

// Gateway is the recording pass-through of `moverisd gateway`; the daemon does
// not read it.
type Gateway struct {
	// Listen is host:port with a numeric port. Requests carry API keys, so it
	// belongs on loopback. A socket named "gateway" inherited from systemd wins
	// when its address fits.
	Listen string
}

// Account is one Moveris API key with its budget and its webhook secrets.
type Account struct {
	// Name identifies the account everywhere: 1 to 64 of A-Z a-z 0-9 . _ -
	Name string
	// BaseURL is https, or http for a loopback host; it has no trailing slash,
	// query, fragment or user.
	BaseURL string
	// APIKey is the key of the account; required.
	APIKey Secret
	// RequestsPerMinute is the budget in any 60 seconds, 1 to 100000. Moveris
	// documents a ceiling of 240 for check endpoints; more is warned of.
	RequestsPerMinute int
	// Routes are path templates, tried in order. Each begins with "/" and has
	// {session_id} or {job_id} in its path.
	Routes []string
	// WebhookSecrets, at least one. A delivery belongs to the account of the
	// secret that signed it, so no two secrets of the file have equal values.
	WebhookSecrets []WebhookSecret
	// ConfirmSubmitted asks Moveris also about sessions that only a submission
	// has settled.
	ConfirmSubmitted bool
}

// WebhookSecret is one signing secret of an account.
type WebhookSecret struct {
	// Label is recorded with every delivery that the secret signed: 1 to 64
	// characters, unique in the whole file.
	Label string
	// Secret is the signing secret as Moveris shows it.
	Secret Secret
}

// Forward sends changes to an application by the Standard Webhooks scheme.
type Forward struct {
	// Name identifies the forwarder: unique, 1 to 64 of A-Z a-z 0-9 . _ -
	Name string
	// URL is https, or http for a loopback host; it has no user or fragment.
	URL string
	// Secrets, at least one; every request is signed with each of them. The
	// bytes are as referred to: whsec_<base64> or raw, undecoded.
	Secrets []Secret
	// Changes are the kinds of change to send, at least one of expected,
	// settled, reverified, conflicted, missing, revived, withdrawn.
	Changes []string
}

// Alert tells a person that the status got worse. Exactly one of Command and
// URL is set.
type Alert struct {
	// Command is a program by absolute path and its arguments; it gets the
	// status JSON on standard input.
	Command []string
	// URL gets the status JSON as a POST; https, or http for a loopback host.
	URL string
	// MinLevel is the lowest level that alerts: degraded or failing.
	MinLevel string
}
