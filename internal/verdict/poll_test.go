package verdict

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var policy = Policy{GracePeriod: time.Minute, GiveUpAfter: 24 * time.Hour, BackoffMin: 15 * time.Second, BackoffMax: time.Hour}

func confirming() Policy { p := policy; p.ConfirmSubmitted = true; return p }

func TestReschedule(t *testing.T) {
	exp := Fold(evidence(expected(0, 60, 1, 1)))
	live := Fold(evidence(expected(0, 60, 1, 1), webhook(9, "live", created(1))))
	again := Fold(evidence(expected(0, 60, 1, 1), webhook(9, "live", created(1)), expected(100, 60, 2, 2)))
	missing := Fold(evidence(expected(0, 60, 1, 1), gaveUp(90000)))
	reopened := Fold(evidence(expected(0, 60, 1, 1), gaveUp(90000), expected(90001, -89941, 1, 1)))
	word := Fold(evidence(webhook(9, "maybe")))
	wordExpected := Fold(evidence(webhook(9, "maybe"), expected(20, 60, 1, 1)))
	sub := Fold(evidence(submitted(1, "live", created(0), hookDue(61))))
	subAgain := Fold(evidence(submitted(1, "live", created(0), hookDue(61)), expected(100, 60, 2, 1)))
	subWord := Fold(evidence(submitted(1, "maybe", created(0), hookDue(61))))
	subNoDue := Fold(evidence(submitted(1, "live", created(0))))
	old := Schedule{Attempts: 7, Answered: 5, NextPollAt: at(500)}
	for _, tt := range []struct {
		name   string
		p      Policy
		before *Session
		after  *Session
		sch    Schedule
		want   Schedule
	}{
		{"expected: the end of grace", policy, nil, &exp, Schedule{}, Schedule{NextPollAt: at(60)}},
		{"repeated: goes on", policy, &exp, &exp, old, old},
		{"settled: no more", policy, &exp, &live, old, Schedule{Attempts: 7, Answered: 5}},
		{"settled at once", policy, nil, &live, Schedule{}, Schedule{}},
		{"again: anew, from its grace", policy, &live, &again, Schedule{Attempts: 7, Answered: 5}, Schedule{NextPollAt: at(160)}},
		{"missing: no more", policy, &exp, &missing, old, Schedule{Attempts: 7, Answered: 5}},
		{"reopened: anew", policy, &missing, &reopened, Schedule{Attempts: 7, Answered: 5}, Schedule{NextPollAt: at(60)}},
		{"an unknown word: a backoff later", policy, nil, &word, Schedule{}, Schedule{NextPollAt: at(24)}},
		{"an unknown word, then expected: from its grace", policy, &word, &wordExpected, Schedule{NextPollAt: at(24)}, Schedule{NextPollAt: at(80)}},
		{"submitted: not asked", policy, nil, &sub, Schedule{}, Schedule{}},
		{"submitted, to be confirmed: when its webhook was due", confirming(), nil, &sub, Schedule{}, Schedule{NextPollAt: at(61)}},
		{"submitted without a due time", confirming(), nil, &subNoDue, Schedule{}, Schedule{NextPollAt: at(16)}},
		{"submitted, an unknown word: when its webhook was due", policy, nil, &subWord, Schedule{}, Schedule{NextPollAt: at(61)}},
		{"being confirmed, then again: anew", confirming(), &sub, &subAgain, old, Schedule{NextPollAt: at(160)}},
		{"told by a webhook: not confirmed", confirming(), nil, &live, Schedule{}, Schedule{}},
	} {
		if got := tt.p.Reschedule(tt.before, tt.after, tt.sch); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestAfterAttempt(t *testing.T) {
	const deadline = 60 + 86400
	open := Fold(evidence(expected(0, 60, 1, 1)))
	null := Fold(evidence(expected(0, 60, 1, 1), job(70, "complete", "", span(0, 1))))
	word := Fold(evidence(expected(0, 60, 1, 1), job(70, "odd", "")))
	live := Fold(evidence(expected(0, 60, 1, 1), webhook(9, "live", created(1))))
	again := Fold(evidence(expected(-100, 60, 1, 1), webhook(-80, "live", created(-90)), expected(0, 60, 2, 2)))
	againNull := Fold(evidence(expected(-100, 60, 1, 1), webhook(-80, "live", created(-90)), expected(0, 60, 2, 2), job(70, "complete", "", span(0, 1))))
	sub := Fold(evidence(submitted(1, "live", created(0), hookDue(60))))
	for _, tt := range []struct {
		name    string
		s       *Session
		sch     Schedule
		a       Answer
		now     float64
		jitter  float64
		next    float64 // 0: none
		counts  [2]int  // attempts, answered
		giveUp  bool
		because string
	}{
		{"first", &open, Schedule{}, NotThere, 60, 0, 75, [2]int{1, 1}, false, "asked again later"},
		{"first, jitter", &open, Schedule{}, NotThere, 60, .5, 76.5, [2]int{1, 1}, false, "asked again later"},
		{"second", &open, Schedule{Attempts: 1, Answered: 1}, NotThere, 75, 0, 105, [2]int{2, 2}, false, "asked again later"},
		{"outage", &open, Schedule{Attempts: 9, Answered: 9}, NoAnswer, 1000, 0, 1015, [2]int{9, 9}, false, "no answer"},
		{"outage at the deadline", &open, Schedule{Attempts: 9, Answered: 9}, NoAnswer, deadline, 0, deadline + 15, [2]int{9, 9}, false, "no answer"},
		{"at the deadline", &open, Schedule{Attempts: 2, Answered: 2}, NotThere, deadline, 0, 0, [2]int{3, 3}, true, "deadline passed"},
		{"a millisecond before", &open, Schedule{Attempts: 9, Answered: 9}, NotThere, deadline - .001, 0, deadline + 14.999, [2]int{10, 10}, false, "asked again later"},
		{"past it, the second answer", &open, Schedule{Attempts: 1, Answered: 1}, NotThere, deadline + 9, 0, deadline + 39, [2]int{2, 2}, false, "asked again later"},
		{"past it, answered with a null before", &null, Schedule{Attempts: 5, Answered: 1}, NotThere, deadline, 0, deadline + 480, [2]int{6, 2}, false, "asked again later"},
		{"the deadline within the backoff", &open, Schedule{Attempts: 9, Answered: 9}, NotThere, deadline - 1800, .9, deadline, [2]int{10, 10}, false, "asked again later"},
		{"a null at the deadline is asked about again", &null, Schedule{Attempts: 9, Answered: 9}, Said, deadline, 0, deadline + 3600, [2]int{10, 9}, false, "asked again later"},
		{"an unknown word told nothing", &word, Schedule{Attempts: 9, Answered: 9}, Said, deadline, 0, 0, [2]int{10, 10}, true, "deadline passed"},
		{"settled", &live, Schedule{Attempts: 1}, Said, 70, 0, 0, [2]int{1, 0}, false, "no longer waited for"},
		{"again: not there", &again, Schedule{Attempts: 2, Answered: 2}, NotThere, deadline, 0, 0, [2]int{3, 3}, true, "deadline passed"},
		{"again: the first told once more", &again, Schedule{Attempts: 2, Answered: 2}, Said, deadline, 0, 0, [2]int{3, 3}, true, "deadline passed"},
		{"again: before its deadline", &again, Schedule{Attempts: 9, Answered: 9}, Said, 9000, 0, 12600, [2]int{10, 10}, false, "asked again later"},
		{"again: a null is something", &againNull, Schedule{Attempts: 2, Answered: 2}, Said, deadline, 0, deadline + 60, [2]int{3, 2}, false, "asked again later"},
		{"unconfirmed at the deadline: no more, but not missing", &sub, Schedule{Attempts: 9, Answered: 9}, NotThere, deadline, 0, 0, [2]int{10, 10}, false, "deadline passed"},
		{"another than the submitted one is told", &sub, Schedule{Attempts: 9, Answered: 9}, Said, deadline, 0, 0, [2]int{10, 10}, false, "deadline passed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := confirming().AfterAttempt(tt.s, tt.sch, tt.a, at(tt.now), tt.jitter)
			want := Decision{GiveUp: tt.giveUp, Reason: tt.because, Schedule: Schedule{Attempts: tt.counts[0], Answered: tt.counts[1]}}
			if tt.next != 0 {
				want.Schedule.NextPollAt = at(tt.next)
			}
			if d != want {
				t.Errorf("got  %+v\nwant %+v", d, want)
			}
		})
	}
}

// An outage of weeks gives nothing up, and is no attempt; the first answers after it do
// not either before there are three.
func TestOutage(t *testing.T) {
	s := Fold(evidence(expected(0, 60, 1, 1)))
	sch, now := policy.Reschedule(nil, &s, Schedule{}), at(60)
	for range 100000 {
		d := policy.AfterAttempt(&s, sch, NoAnswer, now, .99)
		if d.GiveUp || d.Schedule.Attempts != 0 || d.Schedule.Answered != 0 || d.Schedule.NextPollAt.Sub(now) > 18*time.Second {
			t.Fatalf("an outage at %v: %+v", now, d)
		}
		sch, now = d.Schedule, d.Schedule.NextPollAt
	}
	for i := 1; i <= AnswersMin; i++ {
		d := policy.AfterAttempt(&s, sch, NotThere, now, 0)
		if d.GiveUp != (i == AnswersMin) || d.Schedule.Answered != i {
			t.Fatalf("answer %d: %+v", i, d)
		}
		sch, now = d.Schedule, d.Schedule.NextPollAt
	}
}

// With an API that says 404 all along, the last attempt is at the deadline.
func TestGiveUpAtTheDeadline(t *testing.T) {
	s := Fold(evidence(expected(0, 60, 1, 1)))
	sch := policy.Reschedule(nil, &s, Schedule{})
	for range 1000 {
		now := sch.NextPollAt
		d := policy.AfterAttempt(&s, sch, NotThere, now, .99)
		if d.GiveUp {
			if late := now.Sub(at(60).Add(policy.GiveUpAfter)); late < 0 || late > 18*time.Second {
				t.Errorf("given up %v after the deadline", late)
			}
			return
		}
		sch = d.Schedule
	}
	t.Error("never given up")
}

func TestBackoff(t *testing.T) {
	const most = time.Duration(1<<63 - 1)
	for _, tt := range []struct {
		p      Policy
		n      int
		jitter float64
		want   time.Duration
	}{
		{policy, 0, 0, 15 * time.Second}, {policy, 1, 0, 15 * time.Second}, {policy, 2, 0, 30 * time.Second},
		{policy, 8, 0, 32 * time.Minute}, {policy, 9, 0, time.Hour}, {policy, 1 << 40, 0, time.Hour},
		{policy, 1, .5, 16500 * time.Millisecond}, {policy, 99, .5, 66 * time.Minute},
		{Policy{BackoffMin: time.Minute, BackoffMax: time.Second}, 5, 0, time.Minute},
		{Policy{BackoffMin: time.Second, BackoffMax: most}, 1000, 0, most},
	} {
		if got := tt.p.Backoff(tt.n, tt.jitter); got != tt.want {
			t.Errorf("%+v, %d, %v: got %v, want %v", tt.p, tt.n, tt.jitter, got, tt.want)
		}
	}
	for n := range 50 {
		d := policy.Backoff(n, .999999)
		if d < policy.BackoffMin || d > policy.BackoffMax*6/5 || d < policy.Backoff(n, 0) {
			t.Errorf("attempt %d: %v", n, d)
		}
	}
}

// Giving up takes the deadline and three answers, whatever happens in between.
func TestPropertyGiveUp(t *testing.T) {
	check(t, func(t *rapid.T) {
		s := Fold(evidence(expected(0, 60, 1, 1)))
		sch := policy.Reschedule(nil, &s, Schedule{})
		answers := 0
		for range rapid.IntRange(1, 60).Draw(t, "attempts") {
			now := sch.NextPollAt.Add(sec(rapid.SampledFrom([]float64{0, 1, 15, 3600}).Draw(t, "late")))
			a := rapid.SampledFrom([]Answer{NoAnswer, NotThere}).Draw(t, "answer")
			d := policy.AfterAttempt(&s, sch, a, now, rapid.Float64Range(0, .999).Draw(t, "jitter"))
			if a == NotThere {
				answers++
			}
			if d.Schedule.Answered != answers || d.Schedule.Attempts != answers {
				t.Fatalf("%d answers: %+v", answers, d.Schedule)
			}
			due := a == NotThere && answers >= AnswersMin && !now.Before(at(60).Add(policy.GiveUpAfter))
			if d.GiveUp != due {
				t.Fatalf("give up %v at %v after %d answers", d.GiveUp, now, answers)
			}
			if d.GiveUp {
				return
			}
			if w := d.Schedule.NextPollAt.Sub(now); w < policy.BackoffMin || w > policy.BackoffMax*6/5+time.Second {
				t.Fatalf("a wait of %v", w)
			}
			sch = d.Schedule
		}
	})
}
