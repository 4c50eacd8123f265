package verdict

import "slices"

// Ending says what one observation means for the end of its session.
type Ending struct {
	// Outcome is set if the observation alone ends the session.
	Outcome Outcome
	// Null is true for a completed check without a verdict. It ends the session only
	// if it is repeated: see [confirmedNulls].
	Null bool
	// Unknown is the first word that moverisd does not know; such an observation is
	// kept and shown, and ends nothing.
	Unknown string
}

// Bears reports whether the observation belongs to a finished verification.
func (e Ending) Bears() bool { return e.Outcome != "" || e.Null }

// Ends is rule 4: only live and fake, verification.failed and a failed job,
// expired and cancelled of the session route, and inconclusive when said, end a
// session. A score is not looked at.
func (o *Observation) Ends() Ending {
	if o.Unavailable {
		return Ending{}
	}
	switch o.Form {
	case FormFailed:
		return Ending{Outcome: Failed}
	case FormCompleted, FormSubmitted:
		return o.endsByVerdict()
	case FormJob:
		return o.endsByJob()
	case FormSession:
		return o.endsBySession()
	}
	return Ending{Unknown: string(o.Form)}
}

// endsByVerdict reads the verdict of a check that is known to have completed.
func (o *Observation) endsByVerdict() Ending {
	switch o.Verdict {
	case "live":
		return Ending{Outcome: Live}
	case "fake":
		return Ending{Outcome: Fake}
	case "inconclusive":
		return Ending{Outcome: Inconclusive}
	case "":
		return Ending{Null: true}
	}
	return Ending{Unknown: o.Verdict}
}

// endsByJob reads a job's status. "completed" is accepted beside the documented
// "complete" (contract section 6, point 3).
func (o *Observation) endsByJob() Ending {
	switch o.Status {
	case "complete", "completed":
		return o.endsByVerdict()
	case "failed":
		return Ending{Outcome: Failed}
	case "queued", "processing":
		return Ending{}
	}
	return Ending{Unknown: wordOr(o.Status, "no status")}
}

// endsBySession reads the state of Moveris' session. Its "failed" means that the
// user did not pass, not that processing failed: without a verdict beside it,
// nothing more is known than that the check is over.
func (o *Observation) endsBySession() Ending {
	switch o.Status {
	case "complete", "completed", "failed":
		return o.endsByVerdict()
	case "expired":
		return Ending{Outcome: Expired}
	case "cancelled":
		return Ending{Outcome: Cancelled}
	case "created", "pending", "in_progress", "queued", "processing":
		return Ending{}
	}
	return Ending{Unknown: wordOr(o.Status, "no status")}
}

func wordOr(word, other string) string {
	if word == "" {
		return other
	}
	return word
}

// confirmedNulls finds the polled answers that say again, one backoff later, that a
// check completed without a verdict. What is repeated is looked for among observations
// with the same CreatedAt, a property of the observation alone, so that no further
// observation can take a confirmation back.
func confirmedNulls(obs []Observation) map[*Observation]bool {
	var nulls []*Observation
	for i := range obs {
		if obs[i].Ends().Null {
			nulls = append(nulls, &obs[i])
		}
	}
	var confirmed map[*Observation]bool
	for _, b := range nulls {
		if !slices.ContainsFunc(nulls, b.repeats) {
			continue
		}
		if confirmed == nil {
			confirmed = make(map[*Observation]bool)
		}
		confirmed[b] = true
	}
	return confirmed
}

// repeats reports whether a null says again what the null a said. Only a poll does: its
// answer is Moveris' word at the time of hearing, while a delivery or a submission may
// be late and say no more than what was said before.
func (o *Observation) repeats(a *Observation) bool {
	wait := max(a.RepeatAfter, o.RepeatAfter)
	return o.Source == Poll && a.CreatedAt.Equal(o.CreatedAt) && sameModel(a.Model, o.Model) &&
		o.ObservedAt.After(a.ObservedAt) && !o.ObservedAt.Before(a.ObservedAt.Add(wait))
}
