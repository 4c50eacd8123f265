package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// secretMax is far above any key; it bounds what a wrong path can read.
	secretMax = 64 << 10
	// secretMin is the length under which a secret can be guessed offline.
	secretMin = 16

	referenceForms = "file:/path, env:NAME or credential:NAME"
)

var (
	envSyntax        = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	credentialSyntax = regexp.MustCompile(`^[^/[:cntrl:]]{1,255}$`)
)

// errUnchecked says that a reference can only be resolved inside the service.
var errUnchecked = errors.New("unchecked")

// secret reads a required reference; what names it in the message.
func (s *section) secret(key, what string) Secret {
	n := s.typed(key, kindString, "a reference to a secret in quotes, "+referenceForms)
	if n == nil {
		if s.lookup(key) == nil {
			s.fail(key, "is missing: it refers to %s by %s", what, referenceForms)
		}
		return Secret{}
	}
	return s.resolve(n, key)
}

// resolve fetches what a reference refers to. Until the reference is known to
// be one, its text may be a secret and must not get into a message.
func (s *section) resolve(n *node, sub string) Secret {
	if s.opts.Locating || s.opts.KeysOnly && sub != "api_key" {
		return Secret{Ref: n.text}
	}
	raw, err := s.fetch(n.text)
	switch {
	case errors.Is(err, errUnchecked) && s.opts.AllowUnresolved:
		s.report.Unchecked = append(s.report.Unchecked, Reference{Key: s.key(sub), Ref: n.text})
		return Secret{Ref: n.text}
	case errors.Is(err, errUnchecked):
		err = fmt.Errorf("%s is known inside the systemd service only, where CREDENTIALS_DIRECTORY is set: "+
			"start the daemon with `systemctl start moverisd`, or refer to the secret by file: or env: instead", n.text)
	}
	if err != nil {
		s.failAt(n.at, sub, "%v", err)
		return Secret{Ref: n.text}
	}
	value := stripNewline(raw)
	if len(value) == 0 {
		s.failAt(n.at, sub, "%s is empty: put the secret there", n.text)
		return Secret{Ref: n.text}
	}
	if len(value) < secretMin {
		s.warn(n.at, sub, "%s has fewer than %d bytes, which can be guessed", n.text, secretMin)
	}
	if len(bytes.TrimSpace(value)) != len(value) {
		s.warn(n.at, sub, "%s begins or ends with white space, which counts as part of the secret", n.text)
	}
	return Secret{Ref: n.text, value: value, resolved: true}
}

func (s *section) fetch(ref string) ([]byte, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	switch scheme {
	case "file":
		if !filepath.IsAbs(rest) || printable(rest) != nil {
			return nil, errors.New("must have an absolute path after file:, such as file:/etc/moverisd/api-key")
		}
		return readSecret(ref, rest)
	case "env":
		return s.fromEnv(ref, rest)
	case "credential":
		return s.fromCredential(ref, rest)
	default:
		return nil, errors.New("must refer to the secret by " + referenceForms +
			"; a secret itself does not belong into this file, which is copied, backed up and shown")
	}
}

func (s *section) fromEnv(ref, name string) ([]byte, error) {
	if !envSyntax.MatchString(name) {
		return nil, errors.New("must have the name of an environment variable after env:, such as env:MOVERIS_API_KEY")
	}
	value, ok := s.opts.Env.lookup(name)
	if !ok {
		return nil, fmt.Errorf("%s is not set in the environment of this process: set it, or refer to the secret by file: or credential: instead", ref)
	}
	return []byte(value), nil
}

func (s *section) fromCredential(ref, name string) ([]byte, error) {
	if !credentialSyntax.MatchString(name) || name == "." || name == ".." {
		return nil, errors.New(`must have the name of a credential after credential:, without "/", such as credential:moveris-api-key`)
	}
	dir, _ := s.opts.Env.lookup("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, errUnchecked
	}
	return readSecret(ref, filepath.Join(dir, name))
}

// readSecret reads a regular file; a pipe would block the start.
func readSecret(ref, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var data []byte
	if err == nil {
		data, err = readMax(path, secretMax)
	}
	if err == nil {
		return data, nil
	}
	return nil, fmt.Errorf("%s cannot be read from %s (%v): %s", ref, path, reason(err), remedy(ref, err))
}

func remedy(ref string, err error) string {
	switch {
	case strings.HasPrefix(ref, "credential:"):
		return "check LoadCredential= of the unit and start the service again"
	case errors.Is(err, fs.ErrNotExist):
		return "create the file, or correct the path"
	case errors.Is(err, fs.ErrPermission):
		return "make it readable for the user of the service, and for nobody else"
	default:
		return "put the secret into a file of its own"
	}
}

// stripNewline takes off the one line ending that editors and echo append.
func stripNewline(b []byte) []byte {
	if rest, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return b
}
