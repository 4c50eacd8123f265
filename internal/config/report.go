package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Report is the outcome of a Load. Errors and Warnings are in file order.
type Report struct {
	// Errors stop the start; with any of them there is no Config.
	Errors []Problem
	// Warnings let the start go on.
	Warnings []Problem
	// Unchecked are the credential references that could not be resolved
	// outside the service; only with Options.AllowUnresolved.
	Unchecked []Reference
}

// Problem is one fault in the file.
type Problem struct {
	// File is the configuration file.
	File string
	// Line and Column count from 1, columns in bytes; both are 0 when the file
	// as a whole is meant.
	Line, Column int
	// Key is the dotted path, such as poll.concurrency or account[0].api_key;
	// empty when the file as a whole is meant.
	Key string
	// Message says what is expected. It never holds a secret.
	Message string
}

// Reference is a secret that was named and not looked at.
type Reference struct {
	Key string // the dotted path of the reference
	Ref string // as written, such as credential:api-token
}

// String returns "file:line:col: key: message" on one line, without the parts
// that the problem does not have.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column))
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Err returns nil when there are no errors, else one error whose text has one
// line per problem.
func (r *Report) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	lines := make([]string, len(r.Errors))
	for i, p := range r.Errors {
		lines[i] = p.String()
	}
	return errors.New(strings.Join(lines, "\n"))
}

// sort brings the problems into file order; those at one position stay in the
// order in which they were found.
func (r *Report) sort() {
	byPosition := func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}
	slices.SortStableFunc(r.Errors, byPosition)
	slices.SortStableFunc(r.Warnings, byPosition)
}

// whole returns a report with the one error that the file as a whole has.
func whole(file, format string, args ...any) *Report {
	return &Report{Errors: []Problem{{File: file, Message: fmt.Sprintf(format, args...)}}}
}
