package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moverisd/moverisd/internal/status"
)

// browser is a headless Chromium that is spoken to over a pipe, by its DevTools protocol.
type browser struct {
	t       *testing.T
	to      *os.File
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan json.RawMessage
	said    []string // console and security complaints
	asked   []string // URLs of requests
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed; .ci/run installs it")
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, to: to, answers: map[int]chan json.RawMessage{}}
	t.Cleanup(func() {
		b.session = ""
		_, _ = b.try("Browser.close", nil)
		to.Close()
		done := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		done.Stop()
		from.Close()
	})
	go b.listen(from)
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// listen takes in answers and events, which end with a zero byte each.
func (b *browser) listen(from *os.File) {
	r := bufio.NewReader(from)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Result json.RawMessage
			Params struct {
				Entry   struct{ Level, Text string }
				Request struct{ URL string }
			}
		}
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0 && b.answers[m.ID] != nil:
			b.answers[m.ID] <- m.Result
			delete(b.answers, m.ID)
		case m.Method == "Log.entryAdded" && (m.Params.Entry.Level == "error" || m.Params.Entry.Level == "warning"):
			b.said = append(b.said, m.Params.Entry.Text)
		case m.Method == "Runtime.exceptionThrown":
			b.said = append(b.said, string(raw))
		case m.Method == "Network.requestWillBeSent":
			b.asked = append(b.asked, m.Params.Request.URL)
		}
		b.mu.Unlock()
	}
}

func (b *browser) try(method string, params any) (json.RawMessage, error) {
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan json.RawMessage, 1)
	b.answers[id] = answer
	message := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		delete(message, "params")
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	raw, _ := json.Marshal(message)
	_, err := b.to.Write(append(raw, 0))
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case result := <-answer:
		return result, nil
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("%s: no answer", method)
	}
}

func (b *browser) call(method string, params, out any) {
	b.t.Helper()
	raw, err := b.try(method, params)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails any
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %v", expression, out.ExceptionDetails)
	}
	return out.Result.Value
}

// is waits until an expression has a value.
func (b *browser) is(expression string, want any) {
	b.t.Helper()
	var got any
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		if got = b.eval(expression); got == want {
			return
		}
	}
	b.t.Errorf("%s is %v, want %v", expression, got, want)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.is("document.readyState === 'complete' && location.href.startsWith('http')", true)
}

func (b *browser) key(name string, text string) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		p := map[string]any{"type": kind, "key": name, "code": name}
		if name == "Tab" {
			p["windowsVirtualKeyCode"] = 9
		}
		if name == "Enter" {
			p["windowsVirtualKeyCode"] = 13
		}
		if kind == "keyDown" && text != "" {
			p["text"] = text
		}
		b.call("Input.dispatchKeyEvent", p, nil)
	}
}

// The page in a real browser: by keyboard alone, on a phone, dark, without a script, and
// without a request to anywhere else.
func TestPageInChromium(t *testing.T) {
	p := newPages(t)
	p.set(func() { p.level = status.Degraded })
	b := newBrowser(t)

	b.open(p.URL + "/")
	b.is("document.getElementById('level').textContent", "degraded")
	b.is("getComputedStyle(document.querySelector('header')).display", "flex") // the style sheet is in force
	light := b.eval("getComputedStyle(document.body).backgroundColor")
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	if dark := b.eval("getComputedStyle(document.body).backgroundColor"); dark == light {
		t.Errorf("dark and light are %v", dark)
	}
	// Words can be told from what is behind them (WCAG AA), in both.
	for _, scheme := range []string{"dark", "light"} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		for _, selector := range []string{"#level", ".judgement p", ".reasons .code", ".reasons b", "figcaption", "nav a"} {
			if c := b.eval(fmt.Sprintf(contrast, selector)).(float64); c < 4.5 {
				t.Errorf("%s, %s: contrast %.1f", scheme, selector, c)
			}
		}
	}

	// On a phone nothing has to be pushed sideways.
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true}, nil)
	for _, path := range []string{"/", "/login"} {
		b.open(p.URL + path)
		if over := b.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != 0.0 {
			t.Errorf("%s is %v pixels too wide for a phone", path, over)
		}
	}
	b.call("Emulation.clearDeviceMetricsOverride", nil, nil)

	// By keyboard: the first stop skips to the content, and the log-in needs no pointer.
	b.open(p.URL + "/")
	b.key("Tab", "")
	b.is("document.activeElement.className", "skip")
	b.open(p.URL + "/login")
	b.is("document.activeElement.name", "token")
	b.call("Input.insertText", map[string]any{"text": pageToken}, nil)
	b.key("Enter", "\r")
	b.is("location.pathname", "/sessions")
	b.is("document.querySelectorAll('.list tbody tr').length", 3.0)
	b.eval("document.querySelector('input[name=id]').focus()")
	b.call("Input.insertText", map[string]any{"text": "mine"}, nil)
	b.key("Enter", "\r")
	b.is("document.querySelectorAll('.list tbody tr').length", 1.0)
	b.eval("document.querySelector('.list a').focus()")
	b.key("Enter", "\r")
	b.is("location.pathname", "/sessions/detail")
	b.is("document.querySelector('h1').textContent", "mine")
	b.open(p.URL + sessionLink(Session{Account: "production", SessionID: evilID}))
	b.is("document.querySelector('h1').textContent", evilID)
	b.is("document.cookie", "") // no script can read it

	// The script shows what has changed, and does not say that all is well when nobody answers.
	b.open(p.URL + "/")
	p.set(func() { p.level = status.Failing })
	b.eval("refresh()")
	b.is("document.getElementById('level').textContent", "failing")

	// Without a script the core is there.
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.open(p.URL + "/")
	b.is("document.getElementById('level').textContent", "failing")
	b.is("document.querySelectorAll('figure').length", 4.0)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": false}, nil)

	b.open(p.URL + "/")
	b.mu.Lock()
	for _, text := range b.said {
		t.Errorf("the browser complains: %s", text)
	}
	for _, asked := range b.asked {
		if u, err := url.Parse(asked); err != nil || !strings.HasPrefix(asked, p.URL) && u.Scheme != "about" {
			t.Errorf("a request to %s", asked)
		}
	}
	b.mu.Unlock()
	p.Close()
	b.eval("refresh()")
	b.is("document.getElementById('level').textContent", "no answer")
}

// contrast is the ratio of a text's luminance to that of what is behind it.
const contrast = `(() => {
  const rgb = c => c.match(/[\d.]+/g).map(Number);
  const lum = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const el = document.querySelector(%q);
  let back = el;
  while (back && (rgb(getComputedStyle(back).backgroundColor)[3] === 0)) back = back.parentElement;
  const a = lum(getComputedStyle(el).color), b = lum(getComputedStyle(back || document.body).backgroundColor);
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
})()`
