package config

import (
	"bytes"
	"encoding/base64"
)

func readForwards(top *section) []Forward {
	names := make(map[string]string)
	var forwards []Forward
	for _, s := range top.tables("forward", "[[forward]]") {
		forwards = append(forwards, readForward(s, names))
	}
	return forwards
}

func readForward(s *section, names map[string]string) Forward {
	defer s.done()
	f := Forward{
		Name: s.text("name", "", validName),
		URL:  s.text("url", "", targetURL),
		Changes: s.distinct("changes", changeExample,
			[]string{"settled", "reverified", "conflicted", "missing", "revived"},
			oneOf("expected", "settled", "reverified", "conflicted", "missing", "revived", "withdrawn")),
	}
	for _, it := range s.list("secrets", secretExample) {
		secret := s.resolve(it.node, it.sub)
		s.signingKey(it.node, it.sub, secret)
		f.Secrets = append(f.Secrets, secret)
	}
	s.require("name", `"backend"`)
	s.require("url", `"http://127.0.0.1:3000/moveris-results"`)
	s.require("secrets", secretExample)
	s.unique("name", f.Name, names)
	return f
}

// signingKey judges a secret that begins as those of Standard Webhooks do: its rest is the key
// in base64, with or without its padding.
func (s *section) signingKey(n *node, sub string, secret Secret) {
	text, found := bytes.CutPrefix(secret.value, []byte("whsec_"))
	if !found {
		return
	}
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(string(text))
	}
	switch {
	case err != nil || len(key) == 0:
		s.failAt(n.at, sub, "%s begins with whsec_, but what follows is no key in base64: put the whole secret there, or one that begins otherwise", n.text)
	case len(key) < secretMin && len(secret.value) >= secretMin:
		s.warn(n.at, sub, "%s has a key of fewer than %d bytes, which can be guessed", n.text, secretMin)
	}
}

func readAlerts(top *section) []Alert {
	var alerts []Alert
	for _, s := range top.tables("alert", "[[alert]]") {
		alerts = append(alerts, readAlert(s))
	}
	return alerts
}

func readAlert(s *section) Alert {
	defer s.done()
	a := Alert{
		URL:      s.text("url", "", targetURL),
		MinLevel: s.text("min_level", "degraded", oneOf("degraded", "failing")),
	}
	for _, it := range s.list("command", `["/usr/local/bin/page-me"]`, printable) {
		if it.sub == "command[0]" {
			s.pass(it.node, it.sub, []check{absolutePath})
		}
		a.Command = append(a.Command, it.text)
	}
	if (s.lookup("url") == nil) == (s.lookup("command") == nil) {
		s.fail("command", `exactly one of command and url is needed, such as command = ["/usr/local/bin/page-me"]`)
	}
	return a
}
