package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// socketPathMax is what fits into sockaddr_un with its closing zero byte.
const socketPathMax = 107

var (
	bareKey     = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	nameSyntax  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	hostSyntax  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	modeSyntax  = regexp.MustCompile(`^0?[0-7]{3}$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

func notEmpty(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// printable refuses what no path, address or label has and what would break a
// line of the log in two.
func printable(s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s) {
		return errors.New("must not have control characters")
	}
	return nil
}

func validName(s string) error {
	if !nameSyntax.MatchString(s) {
		return errors.New("must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
	}
	return nil
}

func validLabel(s string) error {
	if n := utf8.RuneCountInString(s); n > 64 || strings.TrimSpace(s) == "" {
		return errors.New("must be 1 to 64 characters and not blank")
	}
	return printable(s)
}

func socketPath(s string) error {
	if len(s) > socketPathMax {
		return fmt.Errorf("must be at most %d bytes long, the limit of the system for a socket", socketPathMax)
	}
	return nil
}

func absolutePath(s string) error {
	if !filepath.IsAbs(s) {
		return errors.New("must be an absolute path, such as /usr/local/bin/page-me")
	}
	return nil
}

func validMode(s string) error {
	if !modeSyntax.MatchString(s) {
		return errors.New(`must be permission bits in octal, such as "0660"`)
	}
	return nil
}

func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || (host != "" && !isHost(host)) {
		return errors.New(`must be host:port with a port from 0 to 65535, such as "127.0.0.1:8480" or "[::1]:8480"`)
	}
	return nil
}

func loopbackHostPort(s string) error {
	if err := hostPort(s); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(s); !isLoopback(host) {
		return errors.New(`must be on loopback, such as "127.0.0.1:8482", because this listener asks for no password`)
	}
	return nil
}

// isLoopback knows loopback addresses and the one name that RFC 6761 reserves.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && ip.Unmap().IsLoopback())
}

// optional lets the empty string pass.
func optional(c check) check {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return c(s)
	}
}

func oneOf(words ...string) check {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// targetURL is a URL that we send secrets or results to: encrypted, unless it
// stays on this machine. A user in it would be a secret in the file.
func targetURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || !isHost(u.Hostname()) {
		return errors.New("must be a URL, such as https://host.example/path")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("must have a port from 1 to 65535, or none")
		}
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("must begin with https:// (http:// only for a loopback host)")
	case u.User != nil:
		return errors.New("must not have a user or password before the host")
	case strings.ContainsAny(s, " #"):
		return errors.New("must not have a blank or a fragment (#)")
	}
	return printable(s)
}

// isHost accepts addresses and names; that a name resolves is not known here.
func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || hostSyntax.MatchString(host)
}

// baseURL is a targetURL that routes are appended to.
func baseURL(s string) error {
	if err := targetURL(s); err != nil {
		return err
	}
	if strings.Contains(s, "?") {
		return errors.New("must not have a query (?)")
	}
	return nil
}

func webhookPath(s string) error {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, " ?#{}") {
		return errors.New(`must begin with "/" and have no query, blank or brace, such as /api/moveris/webhook`)
	}
	return printable(s)
}

// validRoute takes a path template. Ids are escaped as one path segment, which does
// not make them safe in a query, so a placeholder there is refused.
func validRoute(s string) error {
	const want = "{session_id} or {job_id}"
	path, query, _ := strings.Cut(s, "?")
	switch {
	case !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//"):
		return errors.New(`must begin with one "/"; the host comes from base_url`)
	case strings.ContainsAny(s, " #"):
		return errors.New("must have no blank and no fragment (#)")
	case strings.ContainsAny(query, "{}"):
		return fmt.Errorf("must have its placeholder %s in the path, not in the query", want)
	}
	found := placeholder.FindAllString(path, -1)
	for _, p := range found {
		if p != "{session_id}" && p != "{job_id}" {
			return fmt.Errorf("must not have a placeholder other than %s", want)
		}
	}
	if strings.ContainsAny(placeholder.ReplaceAllString(path, ""), "{}") {
		return fmt.Errorf("must not have a brace outside of %s", want)
	}
	if len(found) == 0 {
		return fmt.Errorf("must have a placeholder, %s, or each session would be asked for by the same address", want)
	}
	return printable(s)
}
