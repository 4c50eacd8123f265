package moveris

import (
	"context"

	"github.com/moverisd/moverisd/internal/verdict"
)

// Probe asks every route about one session, for a person who wants to know which of
// them answers. It spends the budget and changes nothing else: it passes no gate, makes
// no quick retry and teaches the client nothing.
func (c *Client) Probe(ctx context.Context, a Asked) []RouteAnswer {
	if !verdict.ValidID(a.SessionID) {
		return nil
	}
	var answers []RouteAnswer
	for _, r := range c.routes {
		u := r.askable(c.base, a)
		if u == "" {
			answers = append(answers, RouteAnswer{Route: r.template, Conclusion: SkippedNoJobID})
			continue
		}
		ans, _ := conclude(r.template, a, c.fetch(ctx, u, 0, true, nil), c.now(), c.retryAfterMax)
		ans.URL = u
		answers = append(answers, ans)
	}
	return answers
}

const healthPath = "/health"

// CheckHealth asks the one route that needs no key (contract section 2). Only the
// status counts there, the words differ between sources: the conclusion is "healthy" for
// a 200.
func (c *Client) CheckHealth(ctx context.Context) RouteAnswer {
	x := c.fetch(ctx, c.base+healthPath, 0, false, nil)
	ans, _ := conclude(healthPath, Asked{}, x, c.now(), c.retryAfterMax)
	ans.URL = c.base + healthPath
	if ans.Status == 200 {
		ans.Conclusion, ans.Err = Healthy, nil
	}
	return ans
}

// Healthy is the conclusion of [Client.CheckHealth] for a 200.
const Healthy = "healthy"
