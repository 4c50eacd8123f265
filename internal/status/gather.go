package status

import (
	"math"
	"slices"
	"time"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// WindowLength is the span of the window's figures.
const WindowLength = 24 * time.Hour

// RecentLength is the span that silence and failures are judged over: ten minutes, less what it
// takes to notice, a slot of the figures and a look of the daemon. So silence is told within
// ten minutes of the last delivery.
const RecentLength = 10*time.Minute - 30*time.Second

// Facts is everything a report is made of.
type Facts struct {
	Now       time.Time
	StartedAt time.Time
	Version   string
	Via       string

	Totals   store.Totals
	Day      store.Figures // over WindowLength
	Recent   store.Figures // over RecentLength
	Due      int64
	Disk     store.Disk
	StoreID  string
	Path     string
	LastAt   time.Time // of the newest delivery
	Accounts []Account
	Poll     Poll
	Forward  []Forward

	StoreErr       error // the store cannot commit
	ReadErr        error // the figures could not be read: they say nothing
	BackupErr      error // why the last backup failed
	AlertErrs      []AlertErr
	ClockDoubted   bool     // the wall clock has jumped and nothing has confirmed it since
	Stopped        bool     // the daemon does not run
	ConfigRejected string   // why the last reload was refused
	ListenerErr    error    // the listener does not answer itself
	Unconfigured   []string // accounts in the store that the configuration does not name
}

// AlertErr is an alert that did not get through.
type AlertErr struct {
	Name string // of its command or host
	Err  error
}

// fill turns the facts into a report without a judgement.
func fill(f Facts) Report {
	t, day := f.Totals, f.Day
	return Report{
		AsOf: Stamp(f.Now), Via: f.Via, Version: f.Version, UptimeSeconds: uptime(f),
		Reasons: []Reason{}, Accounts: orEmpty(f.Accounts), Forward: orEmpty(f.Forward), Poll: f.Poll,
		Sessions: Sessions{Awaiting: t.States[verdict.Awaiting], Overdue: t.States[verdict.Overdue],
			Settled: t.States[verdict.Settled], Missing: t.States[verdict.Missing],
			Withdrawn: t.States[verdict.Withdrawn], Conflicts: t.Conflicts,
			OldestOverdueSeconds: int64(t.OldestDue.Seconds())},
		Window: window(day),
		Deliveries: Deliveries{Accepted: day[store.FigureAccepted], Duplicate: day[store.FigureDuplicate],
			DeadLetter: day[store.FigureDeadLetter], UnknownEvent: day[store.FigureUnknownEvent],
			HeaderMismatch: day[store.FigureHeaderMismatch], Rejected: day.Rejected(), LastAt: Stamp(f.LastAt)},
		Store: Store{ID: f.StoreID, Path: f.Path, Bytes: f.Disk.Bytes, WALBytes: f.Disk.WALBytes,
			FreeBytes: f.Disk.FreeBytes, LastCommitAt: Stamp(f.Disk.LastCommitAt), Schema: store.SchemaVersion},
	}
}

func uptime(f Facts) int64 {
	if f.StartedAt.IsZero() {
		return 0
	}
	return int64(f.Now.Sub(f.StartedAt).Seconds())
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func window(day store.Figures) Window {
	w := Window{Seconds: int64(WindowLength.Seconds()), FirstBy: map[string]int64{
		"webhook":   day[verdict.SettledFirstByWebhook],
		"poll":      day[verdict.SettledFirstByPoll],
		"submitted": day[verdict.SettledFirstBySubmitted],
	}}
	for _, n := range w.FirstBy {
		w.Settled += n
	}
	if due := day[verdict.DueAnswered]; due > 0 {
		ratio := math.Round(float64(day[verdict.DueMissed])/float64(due)*1e4) / 1e4
		w.WebhookMissRatio = &ratio
	}
	w.WebhookLagSeconds = Percentiles(day, verdict.WebhookLagFigures, map[string]float64{"p50": 0.50, "p95": 0.95, "p99": 0.99})
	w.RescueLagSeconds = Percentiles(day, verdict.RescueLagFigures, map[string]float64{"p50": 0.50, "p95": 0.95})
	return w
}

// Percentiles reads quantiles from a lag histogram, in seconds; nil if it is empty.
func Percentiles(day store.Figures, base verdict.Figure, wanted map[string]float64) map[string]float64 {
	var cells []verdict.Figure
	var total int64
	for f, n := range day {
		if f >= base && f < base+1000 && n > 0 {
			cells = append(cells, f)
			total += n
		}
	}
	if total == 0 {
		return nil
	}
	slices.Sort(cells)
	out := make(map[string]float64, len(wanted))
	for name, q := range wanted {
		rank := int64(math.Ceil(q * float64(total)))
		for _, c := range cells {
			if rank -= day[c]; rank <= 0 {
				out[name] = math.Round(verdict.CellLag(c-base).Seconds()*1e3) / 1e3
				break
			}
		}
	}
	return out
}
