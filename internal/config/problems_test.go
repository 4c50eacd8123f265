package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// account1 returns a valid account with lines added; they begin on line 5.
func account1(lines string) string { return minimal + "\n" + lines }

// before puts a table before a valid account; it begins on line 1.
func before(table string) string { return table + "\n" + minimal }

// TestProblems has one fault in each file; want is the position and key and
// a part of the message, separated by "…".
func TestProblems(t *testing.T) {
	long := strings.Repeat("x", 65)
	tests := []struct{ name, text, want string }{
		// The document.
		{"empty file", "", "f:1:1: account: … [[account]] with api_key ="},
		{"only comments", "# nothing\n", "f:1:1: account: …at least one account"},
		{"empty account list", "account = []", "f:1:1: account: …at least one account"},
		{"syntax", "[webhook\nlisten = 3", "f:1:9: …not valid TOML"},
		{"unquoted", "[poll]\ngrace_period = 90s", "f:2:18: …strings must be quoted"},
		{"duplicate key", "[poll]\nconcurrency = 1\nconcurrency = 2", "f:3:1: …not valid TOML"},
		{"duplicate table", "[poll]\n[api]\n[poll]", "f:3:2: …not valid TOML"},
		{"number too large", "[poll]\nconcurrency = 99999999999999999999", "f:2:15: …too large"},
		{"float too large", "[poll]\nconcurrency = 1e999", "f:2:15: …not valid TOML: a number is out of range"},
		{"unknown table", before("[pol]"), "f:1:2: pol: …unknown key; known here: webhook, api, observe, store, poll, retention, backup, gateway, account, forward, alert"},
		{"unknown top key", before("x = 1"), "f:1:1: x: …unknown key"},
		{"unknown odd key", before(`"a\nb" = 1`), `f:1:1: "a\nb": …unknown key`},
		{"unknown key", before("[poll]\n  concurency = 1"), "f:2:3: poll.concurency: …known here: schedule, grace_period"},
		{"unknown dotted key", before("poll.x = 1"), "f:1:6: poll.x: …unknown key"},
		{"unknown account key", account1("nam = 1"), "f:5:1: account[0].nam: …unknown key"},
		{"unknown secret key", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'a', secret = 'env:HOOK', x = 1}]", "f:3:55: account[0].webhook_secrets[0].x: …known here: label, secret"},
		{"table is scalar", before("poll = 3"), "f:1:8: poll: …a table, written [poll], not an integer"},
		{"table is array", before("[[poll]]"), "f:1:3: poll: …a table, written [poll], not an array"},
		{"account is table", "[account]", "f:1:2: account: …written [[account]], not a table"},
		{"account of scalars", "account = [1]", "f:1:12: account[0]: …a table, written [[account]], not an integer"},

		// Types.
		{"string", before("[store]\npath = 1"), "f:2:8: store.path: …a string, not an integer"},
		{"string array", before("[store]\npath = ['a']"), "f:2:1: store.path: …a string, not an array"},
		{"integer", before("[poll]\nconcurrency = '4'"), "f:2:15: poll.concurrency: …an integer, such as 4, not a string"},
		{"float", before("[poll]\nconcurrency = 4.0"), "f:2:15: poll.concurrency: …not a float"},
		{"boolean", account1("confirm_submitted = 'no'"), "f:5:21: account[0].confirm_submitted: …true or false, not a string"},
		{"date", before("[store]\npath = 2026-11-23"), "f:2:8: store.path: …not a date or time"},
		{"bare duration", before("[poll]\ngrace_period = 60"), `f:2:16: poll.grace_period: …a duration in quotes, such as "90s"`},
		{"bare size", before("[webhook]\nbody_max = 262144"), `f:2:12: webhook.body_max: …a size in quotes, such as "256KiB"`},
		{"bare mode", before("[api]\nsocket_mode = 0o660"), "f:2:15: api.socket_mode: …a string"},
		{"list", account1("routes = '/x/{job_id}'"), "f:5:10: account[0].routes: …a list of strings, such as"},
		{"list item", account1("routes = ['/x/{job_id}', 3]"), "f:5:26: account[0].routes[1]: …a string, not an integer"},
		{"bare secret", "[[account]]\napi_key = 3\nwebhook_secrets = [{label = 'a', secret = 'env:HOOK'}]", "f:2:11: account[0].api_key: …a reference to a secret in quotes"},

		// [webhook] and the like.
		{"webhook listen", before("[webhook]\nlisten = '127.0.0.1'"), "f:2:10: webhook.listen: …host:port"},
		{"webhook listen empty", before("[webhook]\nlisten = ''"), "f:2:10: webhook.listen: …host:port"},
		{"port name", before("[webhook]\nlisten = 'localhost:http'"), "f:2:10: webhook.listen: …port from 0 to 65535"},
		{"port range", before("[webhook]\nlisten = 'localhost:65536'"), "f:2:10: webhook.listen: …port from 0 to 65535"},
		{"host", before("[webhook]\nlisten = 'a b:80'"), "f:2:10: webhook.listen: …host:port"},
		{"webhook path", before("[webhook]\npath = 'api'"), `f:2:8: webhook.path: …begin with "/"`},
		{"webhook path query", before("[webhook]\npath = '/a?b'"), "f:2:8: webhook.path: …no query"},
		{"body small", before("[webhook]\nbody_max = '1023B'"), "f:2:12: webhook.body_max: …from 1KiB to 16MiB"},
		{"body large", before("[webhook]\nbody_max = '17MiB'"), "f:2:12: webhook.body_max: …from 1KiB to 16MiB"},
		{"size unit", before("[webhook]\nbody_max = '1 MB'"), "f:2:12: webhook.body_max: …one of the units"},
		{"size overflow", before("[webhook]\nbody_max = '9223372036854775807KiB'"), "f:2:12: webhook.body_max: …smaller"},
		{"cert alone", before("[webhook]\ntls_cert = '/c'"), "f:2:12: webhook.tls_cert: …needs tls_key"},
		{"key alone", before("[api]\ntls_key = '/c'"), "f:2:11: api.tls_key: …needs tls_cert"},
		{"socket empty", before("[api]\nsocket = ''"), "f:2:10: api.socket: …empty"},
		{"socket long", before("[api]\nsocket = '/" + long + long + "'"), "f:2:10: api.socket: …107 bytes"},
		{"socket mode", before("[api]\nsocket_mode = '0680'"), "f:2:15: api.socket_mode: …octal"},
		{"socket mode bits", before("[api]\nsocket_mode = '4660'"), "f:2:15: api.socket_mode: …octal"},
		{"api listen", before("[api]\nlisten = 'x'\ntoken = 'env:KEY'"), "f:2:10: api.listen: …host:port"},
		{"api token missing", before("[api]\nlisten = ':8481'"), "f:1:2: api.token: …is missing"},
		{"observe loopback", before("[observe]\nlisten = '0.0.0.0:1'"), "f:2:10: observe.listen: …loopback"},
		{"observe any", before("[observe]\nlisten = ':9000'"), "f:2:10: observe.listen: …loopback"},
		{"observe port", before("[observe]\nlisten = '127.0.0.1'"), "f:2:10: observe.listen: …host:port"},
		{"store path", before("[store]\npath = ''"), "f:2:8: store.path: …empty"},
		{"control character", before(`[store]` + "\n" + `path = "/a\u0000b"`), "f:2:8: store.path: …control"},

		// [poll], [retention], [backup].
		{"concurrency 0", before("[poll]\nconcurrency = 0"), "f:2:15: poll.concurrency: …from 1 to 64"},
		{"concurrency 65", before("[poll]\nconcurrency = 65"), "f:2:15: poll.concurrency: …from 1 to 64"},
		{"negative", before("[poll]\ngrace_period = '-1s'"), "f:2:16: poll.grace_period: …not negative"},
		{"zero grace", before("[poll]\ngrace_period = '0'"), "f:2:16: poll.grace_period: …at least one second"},
		{"zero give up", before("[poll]\ngive_up_after = '0s'"), "f:2:17: poll.give_up_after: …at least one second"},
		{"zero backoff", before("[poll]\nbackoff_min = '0s'"), "f:2:15: poll.backoff_min: …at least one second"},
		{"zero retry", before("[poll]\nretry_after_max = '0s'"), "f:2:19: poll.retry_after_max: …at least one second"},
		{"milliseconds", before("[poll]\ngrace_period = '500ms'"), "f:2:16: poll.grace_period: …the units d, h, m, s"},
		{"empty duration", before("[poll]\ngrace_period = ''"), "f:2:16: poll.grace_period: …the units"},
		{"order of units", before("[poll]\ngrace_period = '1s1h'"), "f:2:16: poll.grace_period: …in this order"},
		{"long duration", before("[poll]\ngive_up_after = '36500d1s'"), "f:2:17: poll.give_up_after: …at most 36500d"},
		{"overflow", before("[poll]\ngive_up_after = '99999999999999999999d'"), "f:2:17: poll.give_up_after: …at most 36500d"},
		{"backoff order", before("[poll]\nbackoff_min = '2h'"), "f:2:15: poll.backoff_min: …backoff_min (2h) must not be above backoff_max (1h)"},
		{"backoff order by max", before("[poll]\nbackoff_max = '1s'"), "f:2:15: poll.backoff_max: …backoff_min (15s) must not be above"},
		{"poll schedule", before("[poll]\nschedule = ' '"), "f:2:12: poll.schedule: …empty"},
		{"retention negative", before("[retention]\nevents = '-1d'"), "f:2:10: retention.events: …not negative"},
		{"retention schedule", before("[retention]\nschedule = ''"), "f:2:12: retention.schedule: …empty"},
		{"backup schedule", before("[backup]\nschedule = ''"), "f:2:12: backup.schedule: …empty"},
		{"backup keep", before("[backup]\nkeep = 0"), "f:2:8: backup.keep: …from 1 to 1000"},
		{"backup dir", before("[backup]\ndir = true"), "f:2:7: backup.dir: …a string, not a boolean"},

		// [[account]].
		{"no api_key", "[[account]]\nwebhook_secrets = [{label = 'a', secret = 'env:HOOK'}]", "f:1:3: account[0].api_key: …is missing"},
		{"no webhook_secrets", "[[account]]\napi_key = 'env:KEY'", "f:1:3: account[0].webhook_secrets: …at least one secret"},
		{"empty webhook_secrets", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = []", "f:3:1: account[0].webhook_secrets: …at least one secret"},
		{"name", account1("name = 'a b'"), "f:5:8: account[0].name: …1 to 64 characters"},
		{"name empty", account1("name = ''"), "f:5:8: account[0].name: …1 to 64 characters"},
		{"name long", account1("name = '" + long + "'"), "f:5:8: account[0].name: …1 to 64 characters"},
		{"same name", minimal + "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'b', secret = 'env:HOOK2'}]\nname = 'production'", `f:7:8: account[1].name: …"production" is the name of account[0] already`},
		{"same default name", minimal + "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'b', secret = 'env:HOOK2'}]", `f:4:3: account[1].name: …"production" is the name of account[0] already`},
		{"plain http", account1("base_url = 'http://api.moveris.com'"), "f:5:12: account[0].base_url: …must begin with https://"},
		{"http look-alike", account1("base_url = 'http://127.0.0.1.example.com'"), "f:5:12: account[0].base_url: …must begin with https://"},
		{"ftp", account1("base_url = 'ftp://127.0.0.1'"), "f:5:12: account[0].base_url: …must begin with https://"},
		{"no host", account1("base_url = 'https:///x'"), "f:5:12: account[0].base_url: …must be a URL"},
		{"no scheme", account1("base_url = 'api.moveris.com'"), "f:5:12: account[0].base_url: …must be a URL"},
		{"port", account1("base_url = 'https://a:70000'"), "f:5:12: account[0].base_url: …port"},
		{"query", account1("base_url = 'https://a/?x=1'"), "f:5:12: account[0].base_url: …query"},
		{"empty query", account1("base_url = 'https://a/?'"), "f:5:12: account[0].base_url: …query"},
		{"fragment", account1("base_url = 'https://a/#'"), "f:5:12: account[0].base_url: …fragment"},
		{"userinfo", account1("base_url = 'https://u:p@a/'"), "f:5:12: account[0].base_url: …user or password"},
		{"budget 0", account1("requests_per_minute = 0"), "f:5:23: account[0].requests_per_minute: …from 1 to 100000"},
		{"budget high", account1("requests_per_minute = 100001"), "f:5:23: account[0].requests_per_minute: …from 1 to 100000"},
		{"no routes", account1("routes = []"), "f:5:1: account[0].routes: …must not be empty"},
		{"route relative", account1("routes = ['x/{job_id}']"), `f:5:11: account[0].routes[0]: …begin with one "/"`},
		{"route host", account1("routes = ['//x/{job_id}']"), `f:5:11: account[0].routes[0]: …begin with one "/"`},
		{"route without placeholder", account1("routes = ['/x']"), "f:5:11: account[0].routes[0]: …must have a placeholder"},
		{"route unknown placeholder", account1("routes = ['/x/{id}/{job_id}']"), "f:5:11: account[0].routes[0]: …other than {session_id} or {job_id}"},
		{"route brace", account1("routes = ['/x/{job_id}}']"), "f:5:11: account[0].routes[0]: …brace"},
		{"route query placeholder", account1("routes = ['/x/{job_id}?s={session_id}']"), "f:5:11: account[0].routes[0]: …not in the query"},
		{"route twice", account1("routes = ['/x/{job_id}', '/x/{job_id}']"), "f:5:26: account[0].routes[1]: …already"},

		// Webhook secrets.
		{"no label", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{secret = 'env:HOOK'}]", "f:3:20: account[0].webhook_secrets[0].label: …is missing"},
		{"empty label", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = '', secret = 'env:HOOK'}]", "f:3:29: account[0].webhook_secrets[0].label: …1 to 64"},
		{"long label", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = '" + long + "', secret = 'env:HOOK'}]", "f:3:29: account[0].webhook_secrets[0].label: …1 to 64"},
		{"no secret", "[[account]]\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'a'}]", "f:3:20: account[0].webhook_secrets[0].secret: …is missing"},
		{"same label", minimal + "[[account]]\nname = 'b'\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'a', secret = 'env:HOOK2'}]", `f:7:29: account[1].webhook_secrets[0].label: …"a" is the label of account[0].webhook_secrets[0] already`},
		{"same value", minimal + "[[account]]\nname = 'b'\napi_key = 'env:KEY'\nwebhook_secrets = [{label = 'x', secret = 'env:HOOK'}]", `f:7:43: account[1].webhook_secrets[0].secret: …label "x" of account "b" has the same secret as label "a" of account "production"`},

		// [[forward]].
		{"forward name", before(forward("name = 'a/b'\nurl = 'https://a'\nsecrets = ['env:KEY']")), "f:2:8: forward[0].name: …1 to 64"},
		{"forward no name", before(forward("url = 'https://a'\nsecrets = ['env:KEY']")), "f:1:3: forward[0].name: …is missing"},
		{"forward no url", before(forward("name = 'a'\nsecrets = ['env:KEY']")), "f:1:3: forward[0].url: …is missing"},
		{"forward no secrets", before(forward("name = 'a'\nurl = 'https://a'")), "f:1:3: forward[0].secrets: …is missing"},
		{"forward empty secrets", before(forward("secrets = []\nname = 'a'\nurl = 'https://a'")), "f:2:1: forward[0].secrets: …must not be empty"},
		{"forward plain http", before(forward("url = 'http://a'\nname = 'a'\nsecrets = ['env:KEY']")), "f:2:7: forward[0].url: …must begin with https://"},
		{"forward change", before(forward("changes = ['settled', 'done']\nname = 'a'\nurl = 'https://a'\nsecrets = ['env:KEY']")), "f:2:23: forward[0].changes[1]: …one of expected, settled, reverified, conflicted, missing, revived, withdrawn"},
		{"forward no changes", before(forward("changes = []\nname = 'a'\nurl = 'https://a'\nsecrets = ['env:KEY']")), "f:2:1: forward[0].changes: …must not be empty"},
		{"forward change twice", before(forward("changes = ['settled', 'settled']\nname = 'a'\nurl = 'https://a'\nsecrets = ['env:KEY']")), "f:2:23: forward[0].changes[1]: …already"},
		{"forward same name", before(forward("name = 'a'\nurl = 'https://a'\nsecrets = ['env:KEY']\n" + forward("name = 'a'\nurl = 'https://a'\nsecrets = ['env:KEY']"))), "f:6:8: forward[1].name: …already"},
		{"forward inline", before(forward("secrets = ['env:KEY', 'inline']\nname = 'a'\nurl = 'https://a'")), "f:2:23: forward[0].secrets[1]: …must refer to the secret"},

		// [[alert]].
		{"alert nothing", before("[[alert]]"), "f:1:3: alert[0].command: …exactly one of command and url"},
		{"alert both", before("[[alert]]\ncommand = ['/x']\nurl = 'https://a'"), "f:2:1: alert[0].command: …exactly one of command and url"},
		{"alert empty command", before("[[alert]]\ncommand = []"), "f:2:1: alert[0].command: …must not be empty"},
		{"alert relative", before("[[alert]]\ncommand = ['page-me', '/x']"), "f:2:12: alert[0].command[0]: …absolute path"},
		{"alert url", before("[[alert]]\nurl = 'http://a'"), "f:2:7: alert[0].url: …https://"},
		{"alert level", before("[[alert]]\ncommand = ['/x']\nmin_level = 'ok'"), "f:3:13: alert[0].min_level: …one of degraded, failing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, report := loadText(tt.text, Options{})
			if c != nil || len(report.Errors) != 1 {
				t.Fatalf("config %v, want one error, got:\n%v", c != nil, report.Err())
			}
			prefix, part, _ := strings.Cut(tt.want, "…")
			if got := report.Errors[0].String(); !strings.HasPrefix(got, prefix) || !strings.Contains(got[len(prefix):], part) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func forward(lines string) string { return "[[forward]]\n" + lines }

// TestAllProblemsAtOnce mixes every sort of fault in one file and wants each
// of them, in the order of the file.
func TestAllProblemsAtOnce(t *testing.T) {
	_, report := loadText(`wat = 1
[poll]
concurrency = "4"
schedule = "never"
grace_period = 60
colour = "red"
[[account]]
api_key = "inline-secret"
routes = ["/x", 3, "/y/{id}"]
[webhook]
body_max = "1GiB"
[[forward]]
name = "a"
[extra]
x = 1
`, Options{CheckSchedule: func(spec string) error {
		if spec == "never" {
			return errors.New("never runs\nat all")
		}
		return nil
	}})
	var got []string
	for _, p := range report.Errors {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Key))
	}
	want := []string{
		"1:1 wat", "3:15 poll.concurrency", "4:12 poll.schedule", "5:16 poll.grace_period", "6:1 poll.colour",
		"7:3 account[0].webhook_secrets", "8:11 account[0].api_key", "9:11 account[0].routes[0]",
		"9:17 account[0].routes[1]", "9:20 account[0].routes[2]", "11:12 webhook.body_max",
		"12:3 forward[0].url", "12:3 forward[0].secrets", "14:2 extra",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text := report.Err().Error()
	if lines := strings.Count(text, "\n") + 1; lines != len(want) {
		t.Errorf("%d lines for %d problems:\n%s", lines, len(want), text)
	}
	if !strings.Contains(text, "f:4:12: poll.schedule: never runs at all") {
		t.Errorf("schedule error not shown:\n%s", text)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"over the ceiling", account1("requests_per_minute = 241"), "f:5:23: account[0].requests_per_minute: …240"},
		{"short secret", strings.Replace(minimal, "env:KEY", "env:SHORT", 1), "f:2:11: account[0].api_key: …16 bytes"},
		{"white space", strings.Replace(minimal, "env:KEY", "env:SPACE", 1), "f:2:11: account[0].api_key: …white space"},
		{"open socket", before("[api]\nsocket_mode = '0666'"), "f:2:15: api.socket_mode: …every user"},
		{"token without listen", before("[api]\ntoken = 'env:KEY'"), "f:2:9: api.token: …no effect"},
		{"tls without listen", before("[api]\ntls_cert = '/c'\ntls_key = '/k'\n[observe]\nlisten = '127.0.0.1:1'"), "f:2:12: api.tls_cert: …no effect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, report := loadText(tt.text, Options{Env: environ("SPACE", " "+keyValue)})
			if c == nil || len(report.Warnings) != 1 && !strings.HasPrefix(tt.name, "tls") {
				t.Fatalf("want a config and one warning, got %v, errors: %v", report.Warnings, report.Err())
			}
			prefix, part, _ := strings.Cut(tt.want, "…")
			if got := report.Warnings[0].String(); !strings.HasPrefix(got, prefix) || !strings.Contains(got, part) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"240 is within the ceiling":     account1("requests_per_minute = 240"),
		"the page logs in by the token": before("[api]\ntoken = 'env:KEY'\n[observe]\nlisten = '127.0.0.1:8482'"),
	} {
		if _, report := loadText(text, Options{}); len(report.Warnings) != 0 {
			t.Errorf("%s, got %v", name, report.Warnings)
		}
	}
}
