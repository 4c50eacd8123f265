// Package verdict holds the vocabulary of moverisd and every decision it takes.
//
// # The one idea
//
// A session is a pure function of what was observed about it. A webhook, a
// polled answer and a submission all become the same value, an [Observation];
// expecting, withdrawing and giving up are [Mark]s beside them. [Fold] turns the
// whole set, the [Evidence], into a [Session]. It reads no clock, draws no random
// number and does not care for order or repetition, so a duplicate is harmless, a
// late webhook after a poll is no special case, a contradiction stays visible,
// and every session can be folded again after a mistake in this package was
// mended.
//
// # The five rules
//
//  1. [verifications] groups observations into verifications, the single runs
//     of a check.
//  2. [current] picks the verification that counts: the latest by Moveris' time.
//  3. [speaker] picks who speaks for a verification, and [conflict] says whether
//     two verdicts contradict each other, or ever did.
//  4. [Observation.Ends] says what ends a session, and what never does.
//  5. [Concerns] says whose answer an answer is.
//
// # Beside the fold
//
// [Diff] names the [Change]s between two folds of one session, [AfterAttempt]
// decides when a session is asked about next and when it is given up, and
// [Tally] says what a session adds to the figures. All get their time passed in.
package verdict
