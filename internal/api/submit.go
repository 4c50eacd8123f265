package api

import (
	"context"
	"crypto/sha256"

	"github.com/moverisd/moverisd/internal/store"
	"github.com/moverisd/moverisd/internal/verdict"
)

// submit brings a synchronous result into the store. A webhook is still due for its
// session, one grace period from now.
func (s *Server) submit(ctx context.Context, account, id string, o verdict.Observation, raw []byte) (store.Receipt, error) {
	policy := s.policyOf(account)
	o.ObservedAt = s.Now()
	o.Digest = sha256.Sum256(raw)
	o.RepeatAfter = policy.BackoffMin
	o.WebhookDueAt = o.ObservedAt.Add(policy.GracePeriod)
	return s.store.Apply(ctx, store.Observed{Account: account, SessionID: id, Observation: o, Body: raw})
}
