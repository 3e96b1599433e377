package cli_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/cli"
	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// person is a user of mythos with a home of their own.
type person struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newPerson(t *testing.T) *person {
	dir := t.TempDir()
	return &person{t, dir, map[string]string{"MYTHOS_HOME": filepath.Join(dir, "home")}}
}

// result is what a command ended with.
type result struct {
	out, err string
	exit     int
}

// with runs a command whose standard input is text.
func (p *person) with(text string, args ...string) result {
	var out, errs bytes.Buffer
	exit := cli.Run(p.t.Context(), args, cli.Env{
		In: strings.NewReader(text), Out: &out, Err: &errs, Clock: time.Now, Getenv: func(name string) string { return p.env[name] },
	})
	return result{out.String(), errs.String(), exit}
}

// run runs a command that must end with an exit code and, if a text is given, say it.
func (p *person) run(exit int, says string, args ...string) result {
	p.t.Helper()
	r := p.with("", args...)
	if r.exit != exit || !strings.Contains(r.out+r.err, says) {
		p.t.Fatalf("mythos %s: exit %d, want %d and %q:\n%s%s", strings.Join(args, " "), r.exit, exit, says, r.out, r.err)
	}
	return r
}

// trust trusts the publisher of packtest.
func (p *person) trust() *person {
	p.t.Helper()
	file := filepath.Join(p.dir, "publisher.pub")
	if err := os.WriteFile(file, []byte(sig.FormatPublic(packtest.Key().Agent(), sig.Publisher)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.run(0, "", "trust", "add", "publisher", file)
	return p
}

// registryServer is a registry whose every request passes through meddle first, if
// it is set: true says that it has answered.
type registryServer struct {
	*httptest.Server
	mu     sync.Mutex
	meddle func(w http.ResponseWriter, r *http.Request, next http.Handler) bool
	seen   []string // METHOD PATH of all requests
}

func (s *registryServer) ServeWith(meddle func(http.ResponseWriter, *http.Request, http.Handler) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = meddle
}

// count returns how many requests began with a text, and forgets all.
func (s *registryServer) count(begin string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := map[string]int{}
	for _, x := range s.seen {
		if strings.HasPrefix(x, begin) {
			of[x]++
		}
	}
	s.seen = nil
	return of
}

func newRegistry(t *testing.T, access *registry.Access) *registryServer {
	t.Helper()
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	next := registry.New(registry.Options{
		Objects: remote.Over(folder.Open(t.TempDir())), Index: x, Access: access, Clock: time.Now,
	}).Handler()
	s := &registryServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		meddle := s.meddle
		s.mu.Unlock()
		if meddle == nil || !meddle(w, r, next) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open() *registry.Access { return &registry.Access{Open: true} }

// random returns bytes that nothing compresses.
func random(seed uint64, n int) string {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(b) // never fails
	return string(b)
}

// heavy builds a package with a document of n bytes.
func heavy(t *testing.T, n int) packtest.Package {
	t.Helper()
	return packtest.Build(t, packtest.Spec{
		Files:  map[string]string{"data.bin": random(1, n)},
		Source: map[string]any{"docs": []any{map[string]any{"path": "data.bin", "media_type": "application/octet-stream"}}},
	})
}

// jsonMember returns a member of the object that a command printed.
func jsonMember(t *testing.T, r result, name string) any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return v[name]
}

// answer returns what the registry behind a test would have sent.
func answer(r *http.Request, next http.Handler) []byte {
	w := httptest.NewRecorder()
	next.ServeHTTP(w, r)
	return w.Body.Bytes()
}

// send sends bytes under a length, and breaks the connection if they are fewer.
func send(w http.ResponseWriter, length int, b []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b) // who asked may have gone
	if len(b) < length {
		panic(http.ErrAbortHandler)
	}
}

// isObject reports whether a request is for an object, and returns the object.
func isObject(r *http.Request, next http.Handler) ([]byte, bool) {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/objects/") {
		return nil, false
	}
	return answer(r, next), true
}

// faults are what a remote may do wrong with an object, and whether that is a lie.
func faults() map[string]struct {
	lie bool
	do  func(http.ResponseWriter, *http.Request, []byte)
} {
	type fault = struct {
		lie bool
		do  func(http.ResponseWriter, *http.Request, []byte)
	}
	return map[string]fault{
		"wrong bytes": {true, func(w http.ResponseWriter, _ *http.Request, b []byte) { b[len(b)/2] ^= 1; send(w, len(b), b) }},
		"wrong size":  {true, func(w http.ResponseWriter, _ *http.Request, b []byte) { send(w, len(b)-1, b[:len(b)-1]) }},
		"longer":      {true, func(w http.ResponseWriter, _ *http.Request, b []byte) { send(w, len(b)+1, append(b, 'x')) }},
		"swapped":     {true, func(w http.ResponseWriter, _ *http.Request, b []byte) { send(w, 7, []byte("another")) }},
		"endless": {true, func(w http.ResponseWriter, r *http.Request, b []byte) {
			junk := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		}},
		"truncated": {false, func(w http.ResponseWriter, _ *http.Request, b []byte) { send(w, len(b), b[:len(b)/2]) }},
		"dies":      {false, func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }},
		"500":       {false, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusInternalServerError) }},
		"404":       {false, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusNotFound) }},
	}
}

// TestFaultyRemote pulls from registries that do what they should not: alone they
// make a pull fail with nothing to see of it; before a good one they only get named.
func TestFaultyRemote(t *testing.T) {
	p := heavy(t, 5<<20)
	good := newRegistry(t, open())
	id := p.ManifestCID.String()
	newPerson(t).run(0, id, "push", p.Dir, good.URL)
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := newRegistry(t, open())
			newPerson(t).run(0, id, "push", p.Dir, bad.URL)
			bad.ServeWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
				b, ok := isObject(r, next)
				if ok {
					f.do(w, r, b)
				}
				return ok
			})
			alone := newPerson(t).trust()
			if r := alone.with("", "pull", id, "--from", bad.URL); r.exit == 0 || r.out != "" {
				t.Errorf("alone: exit %d\n%s%s", r.exit, r.out, r.err)
			}
			alone.run(6, "is not in the store", "run", id)
			both := newPerson(t).trust()
			r := both.run(0, id, "pull", id, "--from", bad.URL, "--from", good.URL)
			if said := strings.Contains(r.err, bad.URL+" lied"); said != f.lie {
				t.Errorf("said that it lied: %v, want %v:\n%s", said, f.lie, r.err)
			}
			both.run(0, "hello", "run", id)
		})
	}
}

// TestAskedToWait has a registry that answers 429 once for every object.
func TestAskedToWait(t *testing.T) {
	p := heavy(t, 10)
	s := newRegistry(t, open())
	newPerson(t).run(0, "", "push", p.Dir, s.URL)
	var once sync.Once
	refused := false
	s.ServeWith(func(w http.ResponseWriter, r *http.Request, _ http.Handler) (done bool) {
		once.Do(func() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			done, refused = true, true
		})
		return done
	})
	newPerson(t).trust().run(0, "", "pull", p.ManifestCID.String(), "--from", s.URL)
	if !refused {
		t.Error("nothing was refused")
	}
}

// TestCredentialsStay has a registry that sends its clients elsewhere: reading goes
// there without credentials, writing does not.
func TestCredentialsStay(t *testing.T) {
	p := heavy(t, 10)
	id := p.ManifestCID.String()
	there := newRegistry(t, open())
	newPerson(t).run(0, "", "push", p.Dir, there.URL)
	there.count("")
	var mu sync.Mutex
	var shown []string
	there.ServeWith(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, r.Header.Get("Authorization"))
		return false
	})
	asked := ""
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = r.Header.Get("Authorization")
		mu.Unlock()
		http.Redirect(w, r, there.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer here.Close()
	u := newPerson(t).trust()
	if r := u.with("secret-token\n", "login", here.URL); r.exit != 0 || strings.Contains(r.out+r.err, "secret-token") {
		t.Fatalf("%+v", r)
	}
	u.run(0, id, "pull", id, "--from", here.URL)
	if asked != "Bearer secret-token" || len(shown) == 0 || strings.Join(shown, "") != "" {
		t.Errorf("the registry was shown %q, the other one %q", asked, shown)
	}
	there.count("")
	if r := u.with("", "push", heavy(t, 11).Dir, here.URL); r.exit == 0 {
		t.Errorf("%+v", r)
	}
	if n := len(there.count("")); n != 0 {
		t.Errorf("a push went elsewhere, with %d requests", n)
	}
}

// release builds a version of one package, with content of its own.
func release(t *testing.T, n int, version string) packtest.Package {
	t.Helper()
	return packtest.Build(t, packtest.Spec{
		Version: version, Files: map[string]string{"readme.txt": random(uint64(n), 10)},
		Source: map[string]any{"docs": []any{map[string]any{"path": "readme.txt", "media_type": "text/plain"}}},
	})
}

// TestRacingPublishers publishes several packages of one name and version at the same
// time: one of them stands, and the others are told.
func TestRacingPublishers(t *testing.T) {
	const publishers = 4
	for name, to := range map[string]string{"registry": newRegistry(t, open()).URL, "folder": filepath.Join(t.TempDir(), "bucket")} {
		t.Run(name, func(t *testing.T) {
			results := make([]result, publishers)
			var all sync.WaitGroup
			for i := range publishers {
				p, u := release(t, i+1, ""), newPerson(t).trust()
				all.Go(func() { results[i] = u.with("", "publish", p.Dir, to) })
			}
			all.Wait()
			won := 0
			for _, r := range results {
				switch {
				case r.exit == 0:
					won++
				case r.exit != 5 || !strings.Contains(r.err, "(version_taken)"):
					t.Errorf("%+v", r)
				}
			}
			if won != 1 {
				t.Errorf("%d of %d publishers won", won, publishers)
			}
			newPerson(t).trust().run(0, "", "pull", "test/hello@0.1.0", "--from", to)
		})
	}
}

// TestTokens shows what a token without a right is told, and where tokens go.
func TestTokens(t *testing.T) {
	token := func(text string, rights ...string) registry.Token {
		return registry.Token{Name: text, SHA256: cid.Sum([]byte(text)), Rights: rights}
	}
	s := newRegistry(t, &registry.Access{Private: true, Tokens: []registry.Token{
		token("reader", "read"), token("writer", "read", "write"), token("other", "read", "write", "publish:other/"), token("publisher", "read", "write", "publish:test/"),
	}})
	p := heavy(t, 10)
	u := newPerson(t).trust()
	u.run(4, "(remote_denied)", "push", p.Dir, s.URL)
	u.run(4, s.URL+": ", "push", p.Dir, s.URL)
	u.run(4, "keep yours with: mythos login "+s.URL, "publish", p.Dir, s.URL)
	for _, x := range []struct {
		token, command string
		exit           int
	}{{"reader", "push", 4}, {"writer", "push", 0}, {"writer", "publish", 4}, {"other", "publish", 4}, {"publisher", "publish", 0}, {"unknown", "publish", 4}} {
		file := filepath.Join(u.dir, "token")
		if err := os.WriteFile(file, []byte(x.token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		u.run(0, "", "login", s.URL, "--token-file", file)
		says := ""
		if x.exit == 4 {
			says = "(remote_denied)"
		}
		u.run(x.exit, says, x.command, p.Dir, s.URL)
	}
	u.run(0, "", "logout", s.URL)
	u.run(4, "(remote_denied)", "pull", "test/hello", "--from", s.URL)
	u.env["MYTHOS_REGISTRY_TOKEN"] = "reader"
	u.run(0, "", "pull", "test/hello", "--from", s.URL)

	// It is for one registry: beside another one nobody gets it.
	var shown []string
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer liar.Close()
	if r := u.with("", "pull", "test/hello", "--from", liar.URL, "--from", s.URL); r.exit == 0 || strings.Join(shown, "") != "" {
		t.Errorf("%+v, shown %q", r, shown)
	}

	// A file that others may read is not used.
	u.run(0, "", "logout", s.URL)
	u.with("x\n", "login", s.URL)
	if err := os.Chmod(filepath.Join(u.dir, "home", "registries.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	u.run(4, "(key_file_mode)", "pull", "test/hello", "--from", s.URL)
}

// TestFullStore pulls into a store that has no room, and goes on when it has.
func TestFullStore(t *testing.T) {
	p := heavy(t, 40<<20)
	s := newRegistry(t, open())
	u := newPerson(t).trust()
	u.run(0, "", "push", p.Dir, s.URL)
	s.count("")
	u.run(0, "", "store", "quota", "14M")
	u.run(7, "(store_full)", "pull", p.ManifestCID.String(), "--from", s.URL)
	first := s.count("GET /objects/")
	u.run(6, "is not in the store", "run", p.ManifestCID.String())
	u.run(0, "", "store", "quota", "none")
	u.run(0, "", "pull", p.ManifestCID.String(), "--from", s.URL)
	again := 0
	for x := range s.count("GET /objects/") {
		again += first[x]
	}
	if again > 4 {
		t.Errorf("%d objects came twice", again)
	}
	u.run(0, "hello", "run", p.ManifestCID.String())
}

// TestDowngrade shows that a name does not lead back to an older version.
func TestDowngrade(t *testing.T) {
	old, recent := release(t, 1, "1.0.0"), release(t, 2, "1.10.0")
	both, stale := filepath.Join(t.TempDir(), "both"), filepath.Join(t.TempDir(), "stale")
	pusher := newPerson(t).trust()
	pusher.run(0, "", "publish", old.Dir, stale)
	pusher.run(0, "", "publish", old.Dir, both)
	pusher.run(0, "", "publish", recent.Dir, both)
	for name, prepare := range map[string]func(*person){
		"pulled":    func(u *person) { u.trust().run(0, "", "pull", "test/hello", "--from", both) },
		"run":       func(u *person) { u.trust().run(0, "", "run", recent.Dir) },
		"untrusted": func(u *person) { u.run(0, "", "pull", "test/hello", "--from", both) },
	} {
		t.Run(name, func(t *testing.T) {
			u := newPerson(t)
			prepare(u)
			u.run(5, "(version_downgrade)", "pull", "test/hello", "--from", stale)
			u.run(5, "(version_downgrade)", "run", "test/hello@1.0.0", "--from", stale)
			u.run(0, old.ManifestCID.String(), "pull", "test/hello", "--from", stale, "--allow-downgrade")
			u.run(5, "(version_downgrade)", "pull", "test/hello@1.0.0", "--from", stale) // the highest stays
		})
	}
}

// TestRunFetches runs what is elsewhere, and then without a network.
func TestRunFetches(t *testing.T) {
	p := heavy(t, 10)
	id := p.ManifestCID.String()
	s := newRegistry(t, open())
	newPerson(t).trust().run(0, "", "publish", p.Dir, s.URL)
	u := newPerson(t)
	u.run(6, "mythos pull "+id+" --from URL", "run", id)
	u.run(3, "(signer_unknown)", "run", id, "--from", s.URL)
	u.trust().run(0, "hello", "run", id)
	u.run(6, "mythos pull test/hello@0.1.0 --from URL", "run", "test/hello@0.1.0")
	u.env["MYTHOS_REMOTES"] = "http://127.0.0.1:1/, " + s.URL
	r := u.run(0, "hello", "run", "test/hello@0.1.0")
	if !strings.Contains(r.err, "remote http://127.0.0.1:1/ failed") {
		t.Error(r.err)
	}
	s.Close()
	delete(u.env, "MYTHOS_REMOTES")
	u.run(0, "hello", "run", "test/hello@0.1.0")
	u.run(0, "hello", "run", id)
	u.env["MYTHOS_REMOTES"] = s.URL
	newHome := filepath.Join(u.dir, "new")
	u.env["MYTHOS_HOME"] = newHome
	u.run(7, "(remotes_failed)", "run", id)
}

// TestRepairFromRemote mends a store from each kind of remote that needs no server
// of others.
func TestRepairFromRemote(t *testing.T) {
	p := heavy(t, 5<<20)
	s := newRegistry(t, open())
	bucket := filepath.Join(t.TempDir(), "bucket")
	u := newPerson(t).trust()
	for _, to := range []string{s.URL, bucket} {
		u.run(0, "", "push", p.Dir, to)
	}
	u.run(0, "", "pull", p.ManifestCID.String(), "--from", bucket)
	for _, from := range []string{s.URL, bucket, "folder://" + bucket} {
		damaged := 0
		err := filepath.WalkDir(filepath.Join(u.dir, "home", "store", "objects"), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/3] ^= 4
			damaged++
			return os.WriteFile(path, b, 0o600)
		})
		if err != nil || damaged == 0 {
			t.Fatalf("%d damaged, %v", damaged, err)
		}
		u.run(3, "(object_corrupt)", "store", "verify")
		r := u.run(0, "", "store", "verify", "--repair", "--from", from, "--json")
		if got := jsonMember(t, r, "repaired"); got != float64(damaged) {
			t.Errorf("from %s: repaired %v of %d", from, got, damaged)
		}
	}
}

// TestAttestationsTravel follows an attestation through a remote and an export.
func TestAttestationsTravel(t *testing.T) {
	p := heavy(t, 10)
	id := p.ManifestCID.String()
	s := newRegistry(t, open())
	bucket := filepath.Join(t.TempDir(), "bucket")
	verifier := newPerson(t).trust()
	key := filepath.Join(verifier.dir, "verifier.key")
	verifier.run(0, "", "keys", "generate", "--role", "verifier", "-o", key)
	verifier.run(0, "", "store", "put", p.Dir)
	verifier.run(0, "", "attest", id, "--claim", "signoff", "--result", "pass", "--key", key)
	for _, to := range []string{s.URL, bucket} {
		r := verifier.run(0, "", "push", id, to, "--json")
		if got := jsonMember(t, r, "attestations"); got != 1.0 {
			t.Errorf("%v attestations went to %s", got, to)
		}
		u := newPerson(t).trust()
		r = u.run(0, "", "pull", id, "--from", to, "--json")
		if got := jsonMember(t, r, "attestations"); got != 1.0 {
			t.Errorf("%v attestations came from %s", got, to)
		}
		known(t, u, 1)
	}
	file := filepath.Join(verifier.dir, "export.tgz")
	verifier.run(0, "", "store", "export", id, "-o", file)
	u := newPerson(t).trust()
	if r := u.run(0, "", "store", "import", file); r.out != id+"\n" {
		t.Errorf("%q", r.out)
	}
	known(t, u, 1)
	u.run(0, "hello", "run", id)
}

// known counts the attestations in the index of a home.
func known(t *testing.T, u *person, want int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(u.dir, "home", "attestations", "*", "*"))
	if err != nil || len(files) != want {
		t.Errorf("%d attestations are known, want %d (%v)", len(files), want, err)
	}
}

// TestURLs shows which remotes are refused before anything is asked.
func TestURLs(t *testing.T) {
	u := newPerson(t)
	p := heavy(t, 10)
	for url, code := range map[string]string{
		"https://ada:hunter2@example.com": "remote_url", "s3://key:hunter2@bucket/x": "remote_url", "https://ada:hunter2%zz@example.com": "remote_url",
		"https://example.com/?token=hunter2": "remote_url", "ftp://example.com/x": "remote_url", "word": "remote_url", "folder://host/path": "remote_url",
		"http://example.com": "remote_plaintext", "oci://": "remote_url",
	} {
		r := u.with("", "push", p.Dir, url)
		if r.exit == 0 || !strings.Contains(r.err, "("+code+")") || strings.Contains(r.err, "hunter2") {
			t.Errorf("%s: %+v, want %s", url, r, code)
		}
	}
	u.run(7, "(remote_none)", "pull", "demo")
	u.run(2, "(pull_reference)", "pull", "No Name")
	u.run(2, "(remote_url)", "login", "s3://bucket")
	u.run(2, "(oci_reference)", "pull", "oci://example.com/demo")
}
