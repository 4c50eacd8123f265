package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makePair makes a certificate of a name with its key, as PEM.
func makePair(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
}

func writePair(t *testing.T, dir, name string) {
	t.Helper()
	cert, key := makePair(t, name)
	writeFile(t, filepath.Join(dir, "tls.crt"), cert)
	writeFile(t, filepath.Join(dir, "tls.key"), key)
}

// writeFile gives each file a later time than the one before it: two of one size may be written
// within one tick of the kernel's clock.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	if info, err := os.Stat(path); err == nil {
		at = info.ModTime().Add(time.Second)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// presented is the name in the certificate that the webhook listener shows.
func (r *rig) presented() string {
	addr := strings.TrimSuffix(strings.TrimPrefix(r.webhook, "http://"), "/api/moveris/webhook")
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// The listener serves a renewed certificate after a reload; while its files do not fit
// together the old one stays, and the whole reload is refused.
func TestCertificateByReload(t *testing.T) {
	r := newRig(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	writePair(t, r.dir, "first")
	edit(t, r, "[webhook]\n", "[webhook]\ntls_cert = \""+r.dir+"/tls.crt\"\ntls_key = \""+r.dir+"/tls.key\"\n")
	r.start()
	if got := r.presented(); got != "first" {
		t.Fatal(got)
	}
	cert, key := makePair(t, "second")
	r.write("tls.crt", cert)
	if out := string(r.call(422, "POST", "/v1/admin/reload", nil)); !strings.Contains(out, "tls_cert") {
		t.Errorf("a certificate without its key: %s", out)
	}
	if got := r.presented(); got != "first" {
		t.Errorf("after a refused reload: %s", got)
	}
	r.write("tls.key", key)
	r.call(200, "POST", "/v1/admin/reload", nil)
	if got := r.presented(); got != "second" {
		t.Errorf("after the reload: %s", got)
	}
}

// A look at changed files renews the certificate without a reload; files that do not fit
// together are told once.
func TestCertificateByChange(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, "first")
	c, err := loadCertificates(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	look := func(step string, wantChanged, wantErr bool, want string) {
		t.Helper()
		changed, err := c.renew()
		if changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("%s: changed %t, error %v", step, changed, err)
		}
		cert, err := c.get()(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := cert.Leaf.Subject.CommonName; got != want {
			t.Errorf("%s: the certificate of %s is in force", step, got)
		}
	}
	look("nothing has changed", false, false, "first")
	cert, key := makePair(t, "second")
	writeFile(t, filepath.Join(dir, "tls.crt"), cert)
	look("half a renewal", false, true, "first")
	look("half a renewal, again", false, false, "first")
	writeFile(t, filepath.Join(dir, "tls.key"), key)
	look("the other half", true, false, "second")
	look("nothing more", false, false, "second")
	// As certbot and Kubernetes do it: a link that leads elsewhere.
	later := filepath.Join(dir, "later")
	if err := os.Mkdir(later, 0o700); err != nil {
		t.Fatal(err)
	}
	writePair(t, later, "the third")
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(later, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	look("links", true, false, "the third")
	if err := os.Remove(filepath.Join(later, "tls.key")); err != nil {
		t.Fatal(err)
	}
	look("gone", false, true, "the third")
}
