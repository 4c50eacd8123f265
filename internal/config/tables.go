package config

import (
	"io/fs"
	"net"
	"strconv"
	"time"
)

// config reads the whole file. The order of the calls does not matter: the
// report is sorted by position at the end.
func (r *reader) config(root *node) *Config {
	top := r.section("", root)
	webhook, api, observe := top.table("webhook"), top.table("api"), top.table("observe")
	c := &Config{
		Webhook:   readWebhook(webhook),
		API:       readAPI(api),
		Observe:   readObserve(observe),
		Store:     readStore(top.table("store")),
		Poll:      readPoll(top.table("poll")),
		Retention: readRetention(top.table("retention")),
		Backup:    readBackup(top.table("backup")),
		Gateway:   readGateway(top.table("gateway")),
		Accounts:  readAccounts(top),
		Forwards:  readForwards(top),
		Alerts:    readAlerts(top),
	}
	top.done()
	// The page of [observe] takes the token to log in with.
	if c.API.Listen == "" && c.Observe.Listen == "" && api.sound("listen") && observe.sound("listen") && api.has("token") {
		api.warn(api.at("token"), "token", "has no effect without listen here or in [observe]")
	}
	return c
}

func readWebhook(s *section) Webhook {
	defer s.done()
	w := Webhook{
		Listen:  s.text("listen", "127.0.0.1:8480", hostPort),
		Path:    s.text("path", "/api/moveris/webhook", webhookPath),
		BodyMax: s.size("body_max", 256<<10, 1<<10, 16<<20),
	}
	w.TLSCert, w.TLSKey = s.tls()
	return w
}

// tls reads the pair of files that only makes sense as a pair.
func (s *section) tls() (cert, key string) {
	cert = s.text("tls_cert", "", notEmpty, printable)
	key = s.text("tls_key", "", notEmpty, printable)
	if s.sound("tls_cert", "tls_key") && (cert == "") != (key == "") {
		given, missing := "tls_cert", "tls_key"
		if cert == "" {
			given, missing = missing, given
		}
		s.fail(given, "needs %s beside it: set both or neither", missing)
	}
	return cert, key
}

func readAPI(s *section) API {
	defer s.done()
	a := API{
		Socket: s.text("socket", "/run/moverisd/moverisd.sock", notEmpty, printable, socketPath),
		Listen: s.text("listen", "", optional(hostPort)),
	}
	// The check has made sure that the text is octal and fits.
	bits, _ := strconv.ParseUint(s.text("socket_mode", "0660", validMode), 8, 32)
	a.SocketMode = fs.FileMode(bits)
	if a.SocketMode&0o007 != 0 {
		s.warn(s.at("socket_mode"), "socket_mode", "gives every user of this machine the whole API")
	}
	if s.lookup("token") != nil || (a.Listen != "" && s.sound("listen")) {
		a.Token = s.secret("token", "a token, because the API over TCP has no file permissions to guard it")
	} else {
		s.get("token")
	}
	a.TLSCert, a.TLSKey = s.tls()
	if a.Listen == "" && s.sound("listen") {
		for _, key := range []string{"tls_cert", "tls_key"} {
			if s.has(key) {
				s.warn(s.at(key), key, "has no effect without listen")
			}
		}
	}
	return a
}

func readObserve(s *section) Observe {
	defer s.done()
	return Observe{Listen: s.text("listen", "", optional(loopbackHostPort))}
}

func readStore(s *section) Store {
	defer s.done()
	return Store{Path: s.text("path", "/var/lib/moverisd/moverisd.db", notEmpty, printable)}
}

func readPoll(s *section) Poll {
	defer s.done()
	p := Poll{
		Schedule:      s.schedule("@every 15s"),
		GracePeriod:   s.duration("grace_period", time.Minute, false),
		GiveUpAfter:   s.duration("give_up_after", day, false),
		BackoffMin:    s.duration("backoff_min", 15*time.Second, false),
		BackoffMax:    s.duration("backoff_max", time.Hour, false),
		Concurrency:   s.integer("concurrency", 4, 1, 64),
		RetryAfterMax: s.duration("retry_after_max", 15*time.Minute, false),
	}
	if s.sound("backoff_min", "backoff_max") && p.BackoffMin > p.BackoffMax {
		key := "backoff_min"
		if s.lookup(key) == nil {
			key = "backoff_max" // the other one is the default
		}
		s.fail(key, "backoff_min (%s) must not be above backoff_max (%s)",
			formatDuration(p.BackoffMin), formatDuration(p.BackoffMax))
	}
	return p
}

// schedule reads the key that three tables share. The default is judged too:
// it has to be a schedule for the caller as much as one from the file.
func (s *section) schedule(fallback string) string {
	spec := s.text("schedule", fallback, notEmpty, printable)
	if s.sound("schedule") && s.opts.CheckSchedule != nil {
		if err := s.opts.CheckSchedule(spec); err != nil {
			s.fail("schedule", "%v", err)
		}
	}
	return spec
}

func readRetention(s *section) Retention {
	defer s.done()
	return Retention{
		Schedule:    s.schedule("17 3 * * *"),
		Settled:     s.duration("settled", 90*day, true),
		DeadLetters: s.duration("dead_letters", 90*day, true),
		Events:      s.duration("events", 30*day, true),
	}
}

func readBackup(s *section) Backup {
	defer s.done()
	return Backup{
		Dir:      s.text("dir", "", printable),
		Schedule: s.schedule("47 3 * * *"),
		Keep:     s.integer("keep", 7, 1, 1000),
	}
}

func readGateway(s *section) Gateway {
	defer s.done()
	g := Gateway{Listen: s.text("listen", "127.0.0.1:8490", hostPort)}
	if host, _, _ := net.SplitHostPort(g.Listen); !isLoopback(host) {
		s.warn(s.at("listen"), "listen", "is not on loopback: API keys and frames cross the network in the clear")
	}
	return g
}
