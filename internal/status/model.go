package status

import (
	"fmt"
	"time"
)

// Level is the judgement.
type Level string

// The levels, and their exit codes, are those of monitoring plugins.
const (
	OK       Level = "ok"
	Degraded Level = "degraded"
	Failing  Level = "failing"
	Unknown  Level = "unknown"
)

// ExitCode is the exit code of the status command: 0 to 3.
func (l Level) ExitCode() int {
	switch l {
	case OK:
		return 0
	case Degraded:
		return 1
	case Failing:
		return 2
	}
	return 3
}

// worse reports whether l is a worse judgement than m.
func (l Level) worse(m Level) bool { return l.ExitCode() > m.ExitCode() }

// Reason is why the level is not ok.
type Reason struct {
	Code    string  `json:"code"`              // one of Codes
	Subject string  `json:"subject,omitempty"` // the account, forward or alert it is about, where there may be several
	Level   Level   `json:"level"`
	Since   *string `json:"since"`
	Text    string  `json:"text"`
	Do      string  `json:"do"` // what to do about it
	// Over is since when it no longer holds, while it is still told: see Tracker.
	Over *string `json:"over_since,omitempty"`
}

// Report is the status as everyone sees it. The JSON form is a contract: fields are added,
// never renamed.
type Report struct {
	Level         Level      `json:"level"`
	AsOf          *string    `json:"as_of"`
	Via           string     `json:"via"` // "socket", "file" or "status.json"
	UptimeSeconds int64      `json:"uptime_seconds"`
	Version       string     `json:"version"`
	Reasons       []Reason   `json:"reasons"`
	Sessions      Sessions   `json:"sessions"`
	Window        Window     `json:"window"`
	Deliveries    Deliveries `json:"deliveries"`
	Accounts      []Account  `json:"accounts"`
	Poll          Poll       `json:"poll"`
	Forward       []Forward  `json:"forward"`
	Store         Store      `json:"store"`
}

// Sessions are counts of all sessions in the store.
type Sessions struct {
	Awaiting             int64 `json:"awaiting"`
	Overdue              int64 `json:"overdue"`
	Settled              int64 `json:"settled"`
	Missing              int64 `json:"missing"`
	Withdrawn            int64 `json:"withdrawn"`
	Conflicts            int64 `json:"conflicts"`
	OldestOverdueSeconds int64 `json:"oldest_overdue_seconds"`
}

// Window are figures over the last seconds.
type Window struct {
	Seconds           int64              `json:"seconds"`
	Settled           int64              `json:"settled"`
	FirstBy           map[string]int64   `json:"first_by"`
	WebhookMissRatio  *float64           `json:"webhook_miss_ratio"`
	WebhookLagSeconds map[string]float64 `json:"webhook_lag_seconds"`
	RescueLagSeconds  map[string]float64 `json:"rescue_lag_seconds"`
}

// Deliveries are counts over the same window.
type Deliveries struct {
	Accepted       int64            `json:"accepted"`
	Duplicate      int64            `json:"duplicate"`
	DeadLetter     int64            `json:"dead_letter"`
	UnknownEvent   int64            `json:"unknown_event"`
	HeaderMismatch int64            `json:"header_mismatch"`
	Rejected       map[string]int64 `json:"rejected"`
	LastAt         *string          `json:"last_at"`
}

// Account is one account's API and secrets.
type Account struct {
	Name            string   `json:"name"`
	Breaker         string   `json:"breaker"`
	BudgetPerMinute int      `json:"budget_per_minute"`
	RatePerMinute   float64  `json:"rate_per_minute"` // what is used of the budget after a 429
	UsedLastMinute  int      `json:"used_last_minute"`
	LastStatus      int      `json:"last_status"`
	DrainSeconds    int64    `json:"drain_seconds"`
	ClockSkew       *float64 `json:"clock_skew_seconds"` // theirs minus ours
	Routes          []Route  `json:"routes"`
	Secrets         []Secret `json:"secrets"`

	Stopped  string    `json:"-"` // why the account is stopped: "account_denied", "no_credits"
	Failing  bool      `json:"-"` // nothing but transport errors and 5xx lately
	Limited  bool      `json:"-"` // a 429 lately
	FailedAt time.Time `json:"-"`
	// UselessAt begins a run of answers that told nothing of any session, zero if there is none.
	UselessAt time.Time `json:"-"`
}

// Route is one route of an account.
type Route struct {
	Route     string           `json:"route"`
	Last200At *string          `json:"last_200_at"`
	Disabled  string           `json:"disabled,omitempty"`
	Answers   map[string]int64 `json:"answers"`
}

// Secret is one webhook secret of an account.
type Secret struct {
	Label      string  `json:"label"`
	LastUsedAt *string `json:"last_used_at"`
}

// Poll is the sweeper.
type Poll struct {
	LastSweepAt *string `json:"last_sweep_at"`
	LastSweepOK bool    `json:"last_sweep_ok"`
	NextSweepAt *string `json:"next_sweep_at"`
	Due         int64   `json:"due"`

	Late bool `json:"-"`
}

// Forward is one target of results.
type Forward struct {
	Name          string  `json:"name"`
	Pending       int64   `json:"pending"`
	OldestSeconds int64   `json:"oldest_seconds"`
	DeadLetters   int64   `json:"dead_letters"`
	LastError     *string `json:"last_error"`

	AckedDead int64 `json:"-"` // dead letters that a person has seen
	Removed   bool  `json:"-"` // not configured any more, what is pending is kept
}

// Store is the database file.
type Store struct {
	ID           string  `json:"id"`
	Path         string  `json:"path"`
	Bytes        int64   `json:"bytes"`
	WALBytes     int64   `json:"wal_bytes"`
	FreeBytes    int64   `json:"free_bytes"`
	LastCommitAt *string `json:"last_commit_at"`
	Schema       int     `json:"schema"`
}

// Stamp is a time of ours in JSON: RFC 3339 in UTC with milliseconds, nil for the zero
// time.
func Stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}

// Time reads a stamp back; the zero time for nil.
func Time(s *string) time.Time { return parse(s) }

// parse reads a stamp back; the zero time for nil.
func parse(s *string) time.Time {
	if s == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// span writes a duration as a person would say it: "42 s", "12 min", "3 h", "2 d".
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}
