package verdict

import (
	"math"
	"time"
)

// Figure names one maintained figure. Figures below [LagFigures] are plain counts; the
// others are histogram cells.
type Figure int

// The figures that a session adds to. They are kept per slot of time, so that a window
// over them needs no look at the sessions.
const (
	SettledFirstByWebhook Figure = iota + 1
	SettledFirstByPoll
	SettledFirstBySubmitted
	DueAnswered // a webhook was due, an outcome of what is waited for is known
	DueMissed   // the same, and no delivery came
	DueSilent   // a webhook was due, nothing at all is known
)

// Bases of the two lag histograms: a cell is base + LagCell(lag).
const (
	WebhookLagFigures Figure = 1000 // from Moveris' time of the verdict to its delivery
	RescueLagFigures  Figure = 2000 // from Moveris' time of the verdict to the poll that told it
)

// Share is one addition to a figure at a time.
type Share struct {
	Figure Figure
	At     time.Time
}

// Tally lists what a session adds to the figures. The additions follow from the
// session alone: whoever keeps them subtracts the shares of the fold before and adds
// those of the fold after, and is right whatever the order was.
func Tally(s *Session) []Share {
	var shares []Share
	if s.State == Settled {
		shares = append(shares, firstShare(s))
		shares = append(shares, lagShares(s)...)
	}
	if s.WebhookDueAt.IsZero() {
		return shares
	}
	switch {
	case s.State == Settled && !s.unmet && !s.WebhookCame:
		shares = append(shares, Share{DueAnswered, s.WebhookDueAt}, Share{DueMissed, s.WebhookDueAt})
	case s.State == Settled && !s.unmet:
		shares = append(shares, Share{DueAnswered, s.WebhookDueAt})
	case s.last != CalledOff && !s.WebhookCame:
		shares = append(shares, Share{DueSilent, s.WebhookDueAt})
	}
	return shares
}

func firstShare(s *Session) Share {
	switch s.FirstBy {
	case Webhook:
		return Share{SettledFirstByWebhook, s.SettledAt}
	case Poll:
		return Share{SettledFirstByPoll, s.SettledAt}
	}
	return Share{SettledFirstBySubmitted, s.SettledAt}
}

func lagShares(s *Session) []Share {
	from := s.AsOf
	if from.IsZero() {
		return nil
	}
	var shares []Share
	if at, ok := s.ToldAt[Webhook]; ok {
		shares = append(shares, Share{WebhookLagFigures + LagCell(at.Sub(from)), at})
	}
	if at, ok := s.ToldAt[Poll]; ok && s.FirstBy == Poll {
		shares = append(shares, Share{RescueLagFigures + LagCell(at.Sub(from)), at})
	}
	return shares
}

// lagCells is the number of histogram cells: eight for each doubling from a
// millisecond to 97 days, so that a percentile read back is off by at most 5 %.
const lagCells = 8*33 + 1

// LagCell is the histogram cell of a lag. A lag under a millisecond, or a negative one
// (their clock runs ahead of ours), falls into cell 0.
func LagCell(lag time.Duration) Figure {
	ms := float64(lag) / float64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	return Figure(min(1+int(8*math.Log2(ms)), lagCells-1))
}

// CellLag is the middle of a histogram cell.
func CellLag(cell Figure) time.Duration {
	if cell <= 0 {
		return 0
	}
	return time.Duration(math.Exp2((float64(cell)-0.5)/8) * float64(time.Millisecond))
}
