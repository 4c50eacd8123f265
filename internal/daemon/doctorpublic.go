package daemon

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/moverisd/moverisd/internal/api"
)

// publicTime is how long a test delivery may take; senders of webhooks commonly allow ten
// seconds.
const publicTime = 10 * time.Second

// testEvent is the event of a test delivery. Moveris has none of that name.
const testEvent = "moverisd.test"

// checkPublic sends a signed delivery to the address that Moveris knows, through whatever is in
// front of us, and sees whether it arrives here as it was sent. It is kept nowhere.
func (d *daemon) checkPublic(ctx context.Context, c *checks, target string) {
	const name = "public URL"
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		c.add(api.CheckFail, name, "give the URL that is registered in the portal, such as https://host.example/api/moveris/webhook", "%q is no such URL", target)
		return
	}
	cfg, _ := d.current()
	id := rand.Text()
	arrived, forget := d.tests.wait(id)
	defer forget()
	body, err := json.Marshal(map[string]string{"event": testEvent, "test_id": id, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)})
	if err != nil {
		c.add(api.CheckFail, name, "", "%v", err)
		return
	}
	start := time.Now()
	answer, err := deliverTest(ctx, target, body, cfg.Accounts[0].WebhookSecrets[0].Secret.Bytes())
	took := time.Since(start).Round(time.Millisecond)
	here := false
	select {
	case <-arrived:
		here = true
	default:
	}
	result, do, saw := judgePublic(u, cfg.Webhook.Path, answer, here, err)
	c.add(result, name, do, "%s (%s)", saw, took)
}

// answered is what came back from the public URL.
type answered struct {
	status   int
	server   string // its own name for itself
	location string
}

// judgePublic says what became of a test delivery, and why.
func judgePublic(u *url.URL, path string, a answered, here bool, err error) (result, do, saw string) {
	by := ""
	if a.server != "" {
		by = fmt.Sprintf(" (server: %.40s)", a.server)
	}
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case err == nil && here && a.status == http.StatusNoContent && u.Scheme != "https":
		return api.CheckWarn, "give the https URL: Moveris delivers over HTTPS only", "a signed test delivery arrived whole, but over plain HTTP"
	case err == nil && here && a.status == http.StatusNoContent:
		return api.CheckOK, "", "a signed test delivery arrived here whole, and its 204 came back"
	case here:
		return api.CheckFail, "let the proxy pass the answer on unchanged", fmt.Sprintf("the test delivery arrived here, but its answer did not come back: %d%s %v", a.status, by, noNil(err))
	case errors.As(err, &dns):
		return api.CheckFail, "check the name in the DNS", fmt.Sprintf("the host %s is not found", u.Hostname())
	case errors.As(err, &unknown), errors.As(err, &wrongName), errors.As(err, &cert):
		return api.CheckFail, "mend the certificate of the proxy, its chain included", "the certificate is not valid: " + err.Error()
	case err != nil:
		return api.CheckFail, "is the proxy running, and does the firewall let its port through? (From inside, some networks cannot reach their own public address.)", "it cannot be reached: " + err.Error()
	case a.status >= 300 && a.status < 400:
		return api.CheckFail, "register the URL that it redirects to, or do not redirect this path", fmt.Sprintf("it redirects to %.200s%s", a.location, by)
	case a.status == http.StatusUnauthorized:
		return api.CheckFail, "see that the proxy passes body and X-Webhook-Signature on unchanged (no decompression, no JSON rewriting), and asks for no login",
			"the signature did not arrive as it was sent, or the proxy wants a login: 401" + by
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed:
		return api.CheckFail, "let the proxy pass POST " + path + " on to moverisd, with this very path", fmt.Sprintf("%s is answered with %d%s", u.Path, a.status, by)
	case a.status == http.StatusForbidden:
		return api.CheckFail, "let the firewall in front pass POST requests without a browser's headers", "it answers 403" + by
	case a.status == http.StatusRequestEntityTooLarge:
		return api.CheckFail, "raise the proxy's limit of a body to webhook.body_max", "it answers 413 to a small body" + by
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return api.CheckFail, "see where the proxy passes requests on to: it must be webhook.listen", fmt.Sprintf("the proxy does not reach moverisd: %d%s", a.status, by)
	case a.status >= 200 && a.status < 300:
		return api.CheckFail, "see who answers there: Moveris would believe that its deliveries are kept", fmt.Sprintf("somebody else answers %d%s; the test delivery did not arrive here", a.status, by)
	}
	return api.CheckFail, "see the log of the proxy", fmt.Sprintf("it answers %d%s, and the test delivery did not arrive here", a.status, by)
}

func noNil(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// deliverTest posts a signed body as Moveris does.
func deliverTest(ctx context.Context, target string, body, secret []byte) (answered, error) {
	ctx, cancel := context.WithTimeout(ctx, publicTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Moveris-Webhook/1.0 (test by moverisd doctor)")
	req.Header.Set("X-Webhook-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-Webhook-Event", testEvent)
	// Not through the proxy of the environment: Moveris does not come that way.
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxResponseHeaderBytes: 64 << 10}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return answered{}, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return answered{resp.StatusCode, resp.Header.Get("Server"), resp.Header.Get("Location")}, nil
}
