package daemon

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/sim"
	"github.com/moverisd/moverisd/internal/status"
)

// with signs a delivery with a secret of its own.
func (r *rig) with(secret, id string) int {
	r.t.Helper()
	body, header := signed(completed(id, "live", time.Now()))
	header.Set("X-Webhook-Signature", sim.Sign(secret, body))
	return r.deliver(body, header)
}

func (r *rig) rejected() (text string, ok bool) {
	r.t.Helper()
	reasons := r.status().Reasons
	i := slices.IndexFunc(reasons, func(x status.Reason) bool { return x.Code == "config_rejected" })
	if i < 0 {
		return "", false
	}
	return reasons[i].Text, true
}

// A broken configuration leaves everything as it was and is a reason until a good one comes;
// a good one is in force as a whole.
func TestReloadBrokenThenGood(t *testing.T) {
	r := newRig(t, nil)
	const second = "whsec-second-0123456789abcdef"
	r.write("second", second)
	edit(t, r, "webhook_secrets = [ {", `webhook_secrets = [ { label = "two", secret = "file:`+r.dir+`/second" }, {`)
	edit(t, r, "backoff_min", "backof_min")
	out := string(r.call(422, "POST", "/v1/admin/reload", nil))
	if !strings.Contains(out, "backof_min") || !strings.Contains(out, "moverisd.toml:") {
		t.Errorf("the answer does not say what is wrong: %s", out)
	}
	if text, ok := r.rejected(); !ok || !strings.Contains(text, "backof_min") {
		t.Errorf("the reason config_rejected: %q", text)
	}
	if code := r.with(second, "refused"); code != 401 {
		t.Errorf("a part of the broken configuration is in force: %d", code)
	}
	if code := r.with(testSecret, "kept"); code != 204 {
		t.Errorf("the old secret: %d", code)
	}
	edit(t, r, "backof_min", "backoff_min")
	r.call(200, "POST", "/v1/admin/reload", nil)
	if text, ok := r.rejected(); ok {
		t.Errorf("a good reload leaves the reason: %q", text)
	}
	for id, secret := range map[string]string{"new": second, "old": testSecret} {
		if code := r.with(secret, id); code != 204 {
			t.Errorf("the %s secret after the reload: %d", id, code)
		}
	}
}

// Secrets in files are read again, also by SIGHUP.
func TestReloadReadsFiles(t *testing.T) {
	r := newRig(t, nil)
	const other = "whsec-other-0123456789abcdef"
	r.write("secret", other)
	if code := r.with(other, "early"); code != 401 {
		t.Fatalf("before the reload: %d", code)
	}
	r.reload <- syscall.SIGHUP
	r.eventually("the new secret is in force", func() bool { return r.with(other, "late") == 204 })
	if code := r.with(testSecret, "gone"); code != 401 {
		t.Errorf("the old secret: %d", code)
	}
}

// A reload that would orphan open sessions is refused with their number; once they are called
// off it goes through.
func TestReloadWithOrphans(t *testing.T) {
	r := newRig(t, nil)
	for _, id := range []string{"a", "b"} {
		r.call(201, "PUT", "/v1/sessions/"+id, map[string]string{"grace_period": "1h"})
	}
	const other = "whsec-other-0123456789abcdef"
	r.write("secret", other)
	edit(t, r, `name = "production"`, `name = "other"`)
	if out := string(r.call(422, "POST", "/v1/admin/reload", nil)); !strings.Contains(out, "2 of account") || !strings.Contains(out, "production") {
		t.Errorf("the refusal: %s", out)
	}
	if code := r.with(other, "refused"); code != 401 {
		t.Errorf("a part of the refused configuration is in force: %d", code)
	}
	for _, id := range []string{"a", "b"} {
		r.call(200, "DELETE", "/v1/sessions/"+id, nil)
	}
	r.call(200, "POST", "/v1/admin/reload", nil)
}

// Reloads that come together follow each other, and the daemon serves all the while.
func TestReloadsTogether(t *testing.T) {
	r := newRig(t, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if code := mustStatus(r, "POST", "/v1/admin/reload"); code != 200 {
				t.Errorf("reload: %d", code)
			}
		})
	}
	for range 20 {
		if code := r.with(testSecret, "meanwhile"); code != 204 {
			t.Errorf("delivery: %d", code)
		}
	}
	wg.Wait()
}

// What takes a restart is named and does not refuse the rest.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	r := newRig(t, nil)
	edit(t, r, "[store]\n", "[observe]\nlisten = \"127.0.0.1:1\"\n[store]\n")
	r.call(200, "POST", "/v1/admin/reload", nil)
	if !strings.Contains(r.log.String(), "takes effect at the next start only") || !strings.Contains(r.log.String(), "key=observe.listen") {
		t.Error("the log does not name observe.listen")
	}
}
