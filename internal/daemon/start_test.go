package daemon

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	_ "modernc.org/sqlite"
)

// idle is a rig whose daemon is not started.
func idle(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"moverisd.db", "moverisd.db-wal", "moverisd.db-shm", "moverisd.db.lock", "moverisd.sock", "status.json"} {
		if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return r
}

// snapshot is every file of a directory with its content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A start that is refused says in one message what to do, ends with its code, and changes
// nothing (issue 1, promise 9).
func TestRefusedStarts(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, r *rig)
		code  int
		says  []string
	}{
		{"no configuration", func(t *testing.T, r *rig) {
			if err := os.Remove(filepath.Join(r.dir, "moverisd.toml")); err != nil {
				t.Fatal(err)
			}
		}, 78, []string{"moverisd.toml"}},
		{"unknown key", func(_ *testing.T, r *rig) { r.extra = "[store2]\npath = \"x\"\n"; r.writeConfig() }, 78, []string{"store2", "moverisd.toml:"}},
		{"unreadable secret", func(t *testing.T, r *rig) {
			if err := os.Remove(filepath.Join(r.dir, "secret")); err != nil {
				t.Fatal(err)
			}
		}, 78, []string{"webhook_secrets", "secret"}},
		{"missing directory", func(t *testing.T, r *rig) {
			edit(t, r, r.dir+"/moverisd.db", r.dir+"/missing/moverisd.db")
		}, 78, []string{"missing", "store.path"}},
		{"missing directory of the socket", func(t *testing.T, r *rig) {
			edit(t, r, r.socket(), r.dir+"/nowhere/s")
		}, 78, []string{"nowhere", "api.socket"}},
		{"newer schema", func(t *testing.T, r *rig) { newerStore(t, filepath.Join(r.dir, "moverisd.db")) }, 65, []string{"schema", "newer"}},
		{"no database", func(_ *testing.T, r *rig) { r.write("moverisd.db", strings.Repeat("garbage ", 100)) }, 65, []string{"moverisd.db"}},
		{"taken port", func(t *testing.T, r *rig) {
			ln, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(r.webhook, "http://"), "/api/moveris/webhook"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
		}, 1, []string{"webhook.listen", "taken"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := idle(t)
			c.spoil(t, r)
			before := snapshot(t, r.dir)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err := Run(ctx, r.options())
			if err == nil {
				t.Fatal("it started")
			}
			if got := ExitCode(err); got != c.code {
				t.Errorf("exit code %d, want %d: %v", got, c.code, err)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the message does not name %q: %v", word, err)
				}
			}
			if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), testKey) {
				t.Errorf("the message holds a secret: %v", err)
			}
			if diff := cmp.Diff(before, snapshot(t, r.dir)); diff != "" {
				t.Errorf("something was changed:\n%s", diff)
			}
		})
	}
}

func edit(t *testing.T, r *rig, old, new string) {
	t.Helper()
	path := filepath.Join(r.dir, "moverisd.toml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.write("moverisd.toml", strings.ReplaceAll(string(data), old, new))
}

// newerStore makes a database of a schema that is not known yet.
func newerStore(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE later (x); PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v := binary.BigEndian.Uint32(data[60:]); v != 999 {
		t.Fatalf("user_version is %d", v)
	}
}

// Nothing secret, no body and no personal data gets into logs, errors, status or
// status.json (issue 1, promise 10).
func TestNothingSecretLeaks(t *testing.T) {
	r := newRig(t, nil)
	const person = "Jane-Doe-1980-passport"
	body := strings.Replace(completed(id1, "live", time.Now()), `"tenant_metadata":null`, `"tenant_metadata":{"name":"`+person+`"}`, 1)
	r.call(201, "PUT", "/v1/sessions/"+id1, map[string]any{"metadata": map[string]string{"name": person}})
	if code := r.deliver(signed(body)); code != 204 {
		t.Fatal(code)
	}
	if code := r.deliver(signed(`{"name":"` + person + `"`)); code != 204 {
		t.Fatal(code)
	}
	r.call(201, "PUT", "/v1/sessions/other", nil)
	r.call(200, "POST", "/v1/sessions/other/poll", nil)
	r.call(200, "POST", "/v1/admin/sessions/other/probe", nil)
	r.write("key", "")
	if code := mustStatus(r, "POST", "/v1/admin/reload"); code == 200 {
		t.Error("an empty key was accepted")
	}
	r.eventually("status.json", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, "status.json"))
		return err == nil
	})
	file, err := os.ReadFile(filepath.Join(r.dir, "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{"log": []byte(r.log.String()), "status": r.call(200, "GET", "/v1/status", nil), "status.json": file}
	if !bytes.Contains(texts["log"], []byte("configuration is refused")) {
		t.Error("the log does not tell of the refused configuration")
	}
	for where, text := range texts {
		for _, word := range []string{testKey, testSecret, person, "passport"} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("%s holds %q", where, word)
			}
		}
	}
}

func mustStatus(r *rig, method, path string) int {
	r.t.Helper()
	_, code := r.tryCall(method, path, nil)
	if code == 0 {
		r.t.Fatalf("%s %s was not answered", method, path)
	}
	return code
}
