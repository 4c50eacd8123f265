package moveris

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moverisd/moverisd/internal/verdict"
)

func answers(status int, body string) func() *http.Response {
	return func() *http.Response { return says(status, body) }
}

func TestAskGoesOnUntilARouteTells(t *testing.T) {
	sessionState := `{"session_id":"` + testID + `","status":"`
	for _, tc := range []struct {
		name    string
		answers map[string]func() *http.Response
		said    string
		answer  verdict.Answer
	}{
		{"the first tells", map[string]func() *http.Response{"/result/" + testJob: answers(200, job("complete", "live"))}, Settles, verdict.Said},
		{"the second tells", map[string]func() *http.Response{"/result/" + testID: answers(200, job("complete", "fake"))}, "not_found settles", verdict.Said},
		{"null is told", map[string]func() *http.Response{"/result/" + testJob: answers(200, job("complete", "null"))}, NullVerdict, verdict.Said},
		{"an unknown word is told", map[string]func() *http.Response{"/result/" + testJob: answers(200, job("paused", "null"))}, UnknownWord, verdict.Said},
		{"unfinished ends the asking", map[string]func() *http.Response{"/result/" + testJob: answers(200, job("queued", "null"))}, Unfinished, verdict.NotThere},
		{"unfinished after 404", map[string]func() *http.Response{"/sessions/": answers(200, sessionState+`pending"}`)}, "not_found not_found unfinished", verdict.NotThere},
		{"nowhere", nil, "not_found not_found not_found", verdict.NotThere},
		{"one is broken", map[string]func() *http.Response{"/sessions/": answers(501, "")}, "not_found not_found server_error", verdict.NoAnswer},
		{"the first is broken", map[string]func() *http.Response{"/result/" + testJob: answers(501, ""), "/sessions/": answers(200, sessionState+`expired"}`)}, "server_error not_found settles", verdict.Said},
		{"broken, then unfinished", map[string]func() *http.Response{"/result/" + testJob: answers(501, ""), "/sessions/": answers(200, sessionState+`pending"}`)}, "server_error not_found unfinished", verdict.NoAnswer},
		{"not a result", map[string]func() *http.Response{"/result/" + testJob: answers(200, `{"data":null,"success":true}`)}, "not_a_result not_found not_found", verdict.NoAnswer},
		{"another session", map[string]func() *http.Response{"/result/": answers(200, strings.Replace(job("complete", "live"), testID, "other", 1))}, "wrong_session wrong_session not_found", verdict.NoAnswer},
		{"one denied", map[string]func() *http.Response{"/result/" + testJob: answers(403, "")}, "denied not_found not_found", verdict.NoAnswer},
		{"refused", map[string]func() *http.Response{"/sessions/": answers(405, "")}, "not_found not_found refused", verdict.NoAnswer},
		{"redirected", map[string]func() *http.Response{"/sessions/": answers(302, "")}, "not_found not_found not_a_result", verdict.NoAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, byPath(tc.answers))
				rep := ask(c)
				if got := conclusions(rep); got != tc.said || rep.Answer != tc.answer {
					t.Errorf("%q, %v; want %q, %v", got, rep.Answer, tc.said, tc.answer)
				}
				if (rep.Told != nil) != (tc.answer == verdict.Said) {
					t.Errorf("Told = %+v", rep.Told)
				}
			})
		})
	}
}

func TestAskSendsWhatIsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(404, "")
		ask(open(t, w, routes(byID)))
		r := w.asked[0]
		want := http.Header{"Accept": {"application/json"}, "User-Agent": {"moverisd/1.2.3"}, "X-Api-Key": {testKey}}
		if diff := cmp.Diff(want, r.Header); diff != "" || r.Method != "GET" || r.URL.String() != "https://api.moveris.test/api/v1/result/"+testID {
			t.Errorf("%s %s %s", r.Method, r.URL, diff)
		}
	})
}

func TestRoutesAreAskedInLearnedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats := RouteStats{Last200At: time.Now(), Answers: map[string]int64{"200": 3}}
		w := always(404, "")
		c := open(t, w, func(cfg *Config) { cfg.Learned.Routes = map[string]RouteStats{bySession: stats} })
		ask(c)
		c.Ask(t.Context(), Asked{SessionID: testID, JobID: testJob, LastRoute: byID})
		c.Ask(t.Context(), Asked{SessionID: testID})          // the job is not known
		c.Ask(t.Context(), Asked{SessionID: "x", JobID: "x"}) // one question, not two
		s, i, j := "/api/v1/sessions/", "/api/v1/result/"+testID, "/api/v1/result/"+testJob
		want := []string{s + testID, j, i, i, s + testID, j, s + testID, i, s + "x", "/api/v1/result/x"}
		if diff := cmp.Diff(want, w.paths()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLearnedStateSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := byPath(map[string]func() *http.Response{"/result/" + testID: answers(200, job("complete", "live"))})
		c := open(t, w)
		ask(c)
		l := c.LearnedState()
		if l.Routes[byID].Last200At.IsZero() || l.Routes[byID].Answers["200"] != 1 || l.Routes[byJob].Answers["404"] != 1 {
			t.Errorf("%+v", l)
		}
		l.Routes[byID].Answers["200"] = 99 // a copy
		if c.Health().Routes[1].Answers["200"] != 1 {
			t.Error("LearnedState shares its map")
		}
		w.asked = nil
		next := open(t, w, func(cfg *Config) { cfg.Learned = c.LearnedState() })
		if rep := ask(next); conclusions(rep) != Settles || rep.Told.Route != byID {
			t.Errorf("%+v", rep)
		}
		if next.LearnedState().Routes[byID].Answers["200"] != 2 {
			t.Error("counts do not go on")
		}
	})
}

func TestIDsBecomeOneSegment(t *testing.T) {
	for id, want := range map[string]string{
		"a/b": "a%2Fb", "a b": "a%20b", "100%": "100%25", "%2F": "%252F", "ü/é": "%C3%BC%2F%C3%A9", "a?b#c": "a%3Fb%23c",
		"../x": "..%2Fx", "...": "...", "a+b&c=d": "a+b&c=d", ":": ":", "a;b,c": "a%3Bb%2Cc", `a\b`: "a%5Cb", "{job_id}": "%7Bjob_id%7D",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := always(404, "")
			c := open(t, w, routes("/v1/{session_id}/tail"))
			c.Ask(t.Context(), Asked{SessionID: id, JobID: "j"})
			if got := w.paths(); len(got) != 1 || got[0] != "/v1/"+want+"/tail" || w.asked[0].URL.RawQuery != "" {
				t.Errorf("%q: %v", id, got)
			}
		})
	}
	c := open(t, always(404, ""))
	for _, id := range []string{"", ".", "..", "a\nb", strings.Repeat("x", 201), "\xff"} {
		if rep := c.Ask(t.Context(), Asked{SessionID: id}); len(rep.Routes) != 0 || rep.Answer != verdict.NoAnswer {
			t.Errorf("%q was asked about", id)
		}
	}
}

func TestBaseURLMayHaveAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := always(404, "")
		c := open(t, w, routes(byID), func(cfg *Config) { cfg.BaseURL = "https://proxy.test/moveris/" })
		c.Ask(t.Context(), Asked{SessionID: "a/b"})
		if got := w.asked[0].URL.String(); got != "https://proxy.test/moveris/api/v1/result/a%2Fb" {
			t.Error(got)
		}
	})
}

func TestAskIsCancellable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		c := open(t, w)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(3 * time.Second); cancel() }()
		start := time.Now()
		rep := c.Ask(ctx, Asked{SessionID: testID})
		if conclusions(rep) != GivenUp || rep.Answer != verdict.NoAnswer || time.Since(start) != 3*time.Second {
			t.Errorf("%+v after %v", rep, time.Since(start))
		}
		if h := c.Health(); h.TransportErrors != 0 || h.Routes[1].Answers["error"] != 0 {
			t.Errorf("our own end counts against Moveris: %+v", h)
		}
		// No token before the deadline: nothing is sent.
		slow := open(t, w, func(cfg *Config) { cfg.RequestsPerMinute = 1 })
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		rep = slow.Ask(ctx, Asked{SessionID: testID})
		if !errors.Is(rep.Routes[0].Err, errNoToken) || w.count() != 1 {
			t.Errorf("%+v", rep)
		}
	})
}

func TestProbeAsksEveryRouteAndLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := byPath(map[string]func() *http.Response{
			"/result/" + testJob: answers(401, `{"error":"invalid_key"}`), "/result/" + testID: answers(503, ""),
			"/sessions/": answers(200, `{"session_id":"`+testID+`","status":"completed","verdict":"live"}`),
		})
		c := open(t, w)
		got := Reply{Routes: c.Probe(t.Context(), Asked{SessionID: testID, JobID: testJob})}
		if conclusions(got) != "denied server_error settles" || got.Routes[0].Code != "invalid_key" || got.Routes[2].Shape != "bare" {
			t.Errorf("%+v", got)
		}
		if w.count() != 3 || c.Health().UsedLastMinute != 3 {
			t.Errorf("%d requests, %d on the budget", w.count(), c.Health().UsedLastMinute)
		}
		for _, r := range c.Health().Routes {
			if r.Denied != 0 || len(r.Answers) != 0 || !r.Last200At.IsZero() || r.Asked {
				t.Errorf("learned %+v", r)
			}
		}
		got = Reply{Routes: c.Probe(t.Context(), Asked{SessionID: testID})}
		if conclusions(got) != "skipped_no_job_id server_error settles" {
			t.Error(conclusions(got))
		}
	})
}

func TestCheckHealthSendsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := byPath(map[string]func() *http.Response{"/health": answers(200, `{"status":"ok"}`)})
		c := open(t, w)
		ans := c.CheckHealth(t.Context())
		if ans.Conclusion != Healthy || ans.Err != nil || ans.Status != 200 || w.asked[0].Header.Get("X-API-Key") != "" {
			t.Errorf("%+v", ans)
		}
	})
}
