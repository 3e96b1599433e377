package cli_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ask makes one request and returns its status and body.
func ask(t *testing.T, c *http.Client, method, url, body, authorization string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// awaitStatus repeats a request until it is answered with a status.
func awaitStatus(t *testing.T, want int, method, url, body, authorization string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, text := ask(t, http.DefaultClient, method, url, body, authorization)
		if status == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s %s is %d %s after a minute, want %d", method, url, status, text, want)
		}
	}
}

func (s *served) object(text string) string {
	return s.url.String() + "/objects/" + cid.Sum([]byte(text)).String()
}

// registryEnds sends SIGTERM: it ends in order, and what it has is there the next
// time.
func registryEnds(t *testing.T, bin string) {
	dir := t.TempDir()
	s := startRegistry(t, bin, nil, "--open", "--dir", dir, "--log", "json")
	if status, body := ask(t, http.DefaultClient, "PUT", s.object("kept"), "kept", ""); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, s.log)
	}
	if !bytes.Contains(s.log.Bytes(), []byte(`"status":201`)) {
		t.Errorf("the log is %s", s.log)
	}
	for _, index := range []string{"index.db", "oci.db"} { // then the mark alone says it
		gc := exec.Command(filepath.Join(bin, "mythos"), "store", "gc")
		gc.Env = append(os.Environ(), "MYTHOS_HOME="+dir)
		if out, _ := gc.CombinedOutput(); gc.ProcessState.ExitCode() != 7 || !bytes.Contains(out, []byte("store_served")) {
			t.Errorf("store gc ended with %d and\n%s", gc.ProcessState.ExitCode(), out)
		}
		if err := os.Remove(filepath.Join(dir, index)); err != nil {
			t.Fatal(err)
		}
	}
	s = startRegistry(t, bin, nil, "--open", "--dir", dir)
	if status, body := ask(t, http.DefaultClient, "GET", s.object("kept"), "", ""); status != 200 || body != "kept" {
		t.Errorf("%d %q", status, body)
	}
}

// registryTokens gives and takes a token while a registry runs.
func registryTokens(t *testing.T, bin string) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	mythos := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "mythos"), append([]string{"registry", "token"}, append(args, "--tokens", file)...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	first := mythos("new", "--name", "first", "--right", "write")
	s := startRegistry(t, bin, nil, "--dir", t.TempDir(), "--tokens", file)
	put := func(want int, text, token string) {
		t.Helper()
		if status, body := ask(t, http.DefaultClient, "PUT", s.object(text), text, "Bearer "+token); status != want {
			t.Errorf("%q: %d %s, want %d", text, status, body, want)
		}
	}
	put(201, "a", first)
	put(401, "b", "mythos_unknown")
	second := mythos("new", "--name", "second", "--right", "write")
	awaitStatus(t, 201, "PUT", s.object("c"), "c", "Bearer "+second)
	mythos("remove", "first")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, 401, "PUT", s.object("a"), "a", "Bearer "+first)
	put(201, "d", second)
	// A file that cannot be read is nobody's token.
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, 401, "PUT", s.object("d"), "d", "Bearer "+second)
}

// registryProofs writes with a capability proof of an authority that the trust
// file of the registry's user names.
func registryProofs(t *testing.T, bin string) {
	home := t.TempDir()
	authority, holder := sig.NewKey([32]byte{31}, ""), sig.NewKey([32]byte{32}, "")
	public := filepath.Join(home, "authority.pub")
	if err := os.WriteFile(public, []byte(sig.FormatPublic(authority.Agent(), sig.Authority)), 0o600); err != nil {
		t.Fatal(err)
	}
	const origin = "https://registry.example"
	s := startRegistry(t, bin, []string{"MYTHOS_HOME=" + home}, "--dir", t.TempDir(), "--proofs", "--origin", origin)
	now := time.Now()
	link, _, err1 := caps.Issue(caps.Capability{
		Subject: holder.Agent(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
		Scope: caps.ScopeOf(&caps.BlobWrite{Namespace: origin, MaxSize: 10, MediaAllow: []string{"application/octet-stream"}}),
	}, authority)
	raw, _, err2 := sig.Sign(&caps.RegistryRequest{
		Audience: origin, Method: "PUT", Path: "/objects/" + cid.Sum([]byte("x")).String(), BodyHash: cid.Sum([]byte("x")), Time: now.UnixMicro(),
	}, holder)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	proof := "Mythos " + encode(caps.EncodeProof([][]byte{link})) + "." + encode(raw)
	if status, body := ask(t, http.DefaultClient, "PUT", s.object("x"), "x", proof); status != 403 || !strings.Contains(body, "cap_issuer_untrusted") {
		t.Errorf("before it is trusted: %d %s", status, body)
	}
	cmd := exec.Command(filepath.Join(bin, "mythos"), "trust", "add", "authority", public)
	cmd.Env = append(os.Environ(), "MYTHOS_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if status, body := ask(t, http.DefaultClient, "PUT", s.object("x"), "x", proof); status != 201 {
		t.Errorf("%d %s", status, body)
	}
}

// registryTLS serves over TLS.
func registryTLS(t *testing.T, bin string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	err3 := os.WriteFile(certFile, certPEM, 0o600)
	err4 := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	s := startRegistry(t, bin, nil, "--open", "--dir", filepath.Join(dir, "registry"), "--tls-cert", certFile, "--tls-key", keyFile)
	roots := x509.NewCertPool()
	if s.url.Scheme != "https" || !roots.AppendCertsFromPEM(certPEM) {
		t.Fatalf("it serves %s", s.url)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer c.CloseIdleConnections()
	for _, size := range []int{10, 200_000} {
		text := strings.Repeat("x", size)
		if status, body := ask(t, c, "PUT", s.object(text), text, ""); status != 201 {
			t.Errorf("%d %s", status, body)
		}
		if status, body := ask(t, c, "GET", s.object(text), "", ""); status != 200 || body != text {
			t.Errorf("%d, %d bytes", status, len(body))
		}
	}
}

// registryOCI uploads a blob by the OCI API, as whoever has the token, and finds it
// as an object.
func registryOCI(t *testing.T, bin string) {
	file := filepath.Join(t.TempDir(), "tokens.json")
	cmd := exec.Command(filepath.Join(bin, "mythos"), "registry", "token", "new", "--name", "ci", "--right", "write", "--tokens", file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+strings.TrimSpace(string(out))))
	s := startRegistry(t, bin, nil, "--dir", t.TempDir(), "--tokens", file)
	uploads := s.url.String() + "/v2/demo/echo/blobs/uploads/"
	if status, body := ask(t, http.DefaultClient, "POST", uploads, "", ""); status != 401 || !strings.Contains(body, "UNAUTHORIZED") {
		t.Errorf("without a token: %d %s", status, body)
	}
	const text = "by OCI"
	whole := uploads + "?digest=" + cid.Sum([]byte(text)).String()
	if status, body := ask(t, http.DefaultClient, "POST", whole, text, basic); status != 201 {
		t.Errorf("%d %s", status, body)
	}
	for _, url := range []string{s.object(text), s.url.String() + "/v2/demo/echo/blobs/" + cid.Sum([]byte(text)).String()} {
		if status, body := ask(t, http.DefaultClient, "GET", url, "", ""); status != 200 || body != text {
			t.Errorf("%s: %d %q", url, status, body)
		}
	}
}
