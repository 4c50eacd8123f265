// Package status is the one health report: its model, the judgement, and its forms as
// JSON, text and a monitoring plugin's line.
//
// The judgement is one pure function of what is known at a time, [Judge], which returns
// named reasons. The status command, the metrics, the log, the alerts and the page all
// show its result and judge nothing themselves. A reason says since when it is up; that is
// the only thing remembered between judgements, by [Tracker].
package status
