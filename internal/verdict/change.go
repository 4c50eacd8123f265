package verdict

// Diff names the steps from one fold of a session to the next, in the order in which
// they are to be told. A nil before means that the session was not known. Equal folds
// have no steps between them.
func Diff(before *Session, after Session) []Change {
	if before == nil {
		return appear(after)
	}
	var steps []Change
	if c := opened(*before, after); c != "" {
		steps = append(steps, c)
	}
	switch {
	case before.State != Settled && after.State == Settled:
		return append(steps, settledSteps(*before, after)...)
	case after.State == Settled:
		if c := resettled(before, &after); c != "" {
			steps = append(steps, c)
		}
	}
	if c := closed(*before, after); c != "" {
		steps = append(steps, c)
	}
	return steps
}

// appear names the steps of a session seen for the first time.
func appear(after Session) []Change {
	var steps []Change
	if !after.ExpectedAt.IsZero() {
		steps = append(steps, ChangeExpected)
	}
	switch after.State {
	case Settled:
		steps = append(steps, settledSteps(Session{State: Awaiting}, after)...)
	case Missing:
		steps = append(steps, ChangeMissing)
	case Withdrawn:
		steps = append(steps, ChangeWithdrawn)
	}
	return steps
}

// opened names the step by which a session is waited for (again).
func opened(before, after Session) Change {
	switch {
	case after.AwaitingAgain && before.State == Settled && !before.AwaitingAgain &&
		(before.unmet || after.round > before.round):
		return ChangeExpected
	case after.State == Awaiting && (before.State == Missing || before.State == Withdrawn):
		return ChangeRevived
	}
	return ""
}

func settledSteps(before, after Session) []Change {
	step := ChangeSettled
	if before.State == Missing || before.State == Withdrawn {
		step = ChangeRevived
	}
	if after.Conflict && !before.Conflict {
		return []Change{step, ChangeConflicted}
	}
	return []Change{step}
}

// resettled names the step between two settled folds. A new contradiction is one step
// even where it changes the outcome; one that only repeats itself is none.
func resettled(before, after *Session) Change {
	switch {
	case after.Conflict && !before.Conflict:
		return ChangeConflicted
	case !before.current.same(&after.current):
		return ChangeReverified
	case after.Outcome == before.Outcome:
		return ""
	case after.Conflict && before.Verdict != "" && after.Verdict != "":
		return ChangeConflicted
	}
	return ChangeReverified
}

// closed names the step by which a session is waited for no more although nothing was
// heard.
func closed(before, after Session) Change {
	stopped := before.AwaitingAgain && !after.AwaitingAgain && after.unmet
	switch {
	case after.State == Missing && before.State != Missing, stopped && after.last == GaveUpMark:
		return ChangeMissing
	case after.State == Withdrawn && before.State != Withdrawn, stopped:
		return ChangeWithdrawn
	}
	return ""
}
