package main

import "github.com/moverisd/moverisd/internal/api"

// each does the same to several sessions, one by one, and prints a line for each: its id, what
// became of it, its account. One that fails does not keep the others from being done, unless
// the daemon cannot be reached.
func (a *app) each(ids []string, do func(c *api.Client, id string) (api.Session, error), became func(api.Session) string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var t tally
	for _, id := range ids {
		s, err := do(c, id)
		if !t.add(a, id, err) {
			break
		}
		if err != nil {
			continue
		}
		if a.json() {
			err = writeJSON(a, s)
		} else {
			err = a.print("%s  %s  %s", clean(s.SessionID), became(s), s.Account)
		}
		if err != nil {
			return err
		}
	}
	return t.err()
}
