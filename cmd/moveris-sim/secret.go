package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// secretFlags are the three places a secret may come from. The environment is
// read only through a name the user gives.
type secretFlags struct {
	name              string
	value, file, vari string
}

// bind adds --NAME (where a plain value is allowed), --NAME-file, --NAME-env.
func (s *secretFlags) bind(fs *flag.FlagSet, name, what string, plain bool) {
	s.name = name
	if plain {
		fs.StringVar(&s.value, name, "", what+", visible in the process list")
	}
	fs.StringVar(&s.file, name+"-file", "", "`file` with "+what)
	fs.StringVar(&s.vari, name+"-env", "", "environment `variable` with "+what)
}

// read returns the secret, "" where none of the flags was given. One trailing
// newline is no part of it. Errors name the place, never the content.
func (s *secretFlags) read() (string, error) {
	given := 0
	for _, place := range []string{s.value, s.file, s.vari} {
		if place != "" {
			given++
		}
	}
	if given > 1 {
		return "", usageError{fmt.Errorf("--%s: give one of the flags for it, not several", s.name)}
	}
	secret := s.value
	switch {
	case s.file != "":
		raw, err := os.ReadFile(s.file)
		if err != nil {
			return "", fmt.Errorf("--%s-file: %w", s.name, err)
		}
		secret = strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	case s.vari != "":
		secret = os.Getenv(s.vari)
	}
	if given == 1 && secret == "" {
		return "", fmt.Errorf("--%s: %w", s.name, errors.New("the secret is empty"))
	}
	return secret, nil
}
