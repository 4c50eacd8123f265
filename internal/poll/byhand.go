package poll

import (
	"context"

	"github.com/moverisd/moverisd/internal/moveris"
	"github.com/moverisd/moverisd/internal/store"
)

// Asked is what asking about one session by hand came to.
type Asked struct {
	Routes []RouteAnswer
	View   store.View
}

// RouteAnswer is what one route answered.
type RouteAnswer struct {
	Route      string
	URL        string
	Status     int
	Err        string
	Conclusion string
	Word       string
	Shape      string
	Code       string
	Fields     []string
	Requests   int
}

// Ask asks about one known session now, whatever its state. Errors: store.ErrNotFound,
// *store.Ambiguous, ErrUnknownAccount.
func (p *Poller) Ask(ctx context.Context, account, id string) (Asked, error) {
	v, err := p.store.Get(ctx, account, id, false)
	if err != nil {
		return Asked{}, err
	}
	s := p.config()
	a, ok := s.account(v.Account)
	if !ok {
		return Asked{}, ErrUnknownAccount
	}
	reply, _, err := p.ask(ctx, a, s, moveris.Asked{SessionID: v.ID, JobID: v.JobID, LastRoute: v.Route})
	if err != nil {
		return Asked{}, err
	}
	out := Asked{Routes: answers(reply.Routes)}
	out.View, err = p.store.Get(ctx, v.Account, id, false)
	return out, err
}

// Probe asks every route for an id, known or not, and changes nothing but the budget.
func (p *Poller) Probe(ctx context.Context, account, id, jobID string) ([]RouteAnswer, error) {
	a, ok := p.config().account(account)
	if !ok {
		return nil, ErrUnknownAccount
	}
	return answers(a.Client.Probe(ctx, moveris.Asked{SessionID: id, JobID: jobID})), nil
}

func (s Settings) account(name string) (Account, bool) {
	for _, a := range s.Accounts {
		if a.Name == name {
			return a, true
		}
	}
	return Account{}, false
}

func answers(routes []moveris.RouteAnswer) []RouteAnswer {
	out := make([]RouteAnswer, 0, len(routes))
	for _, r := range routes {
		ra := RouteAnswer{Route: r.Route, URL: r.URL, Status: r.Status, Conclusion: r.Conclusion, Word: r.Word,
			Shape: r.Shape, Code: r.Code, Fields: r.Fields, Requests: r.Requests}
		if r.Err != nil {
			ra.Err = r.Err.Error()
		}
		out = append(out, ra)
	}
	return out
}
