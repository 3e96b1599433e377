package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/registry/index/postgres/postgrestest"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3/s3test"
	"github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

// served is a registry in a process of its own.
type served struct {
	cmd *exec.Cmd
	url *url.URL
	log *bytes.Buffer
}

// startRegistry runs mythos registry serve and waits for its ready line.
func startRegistry(t *testing.T, bin string, env []string, flags ...string) *served {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "mythos"), append([]string{"registry", "serve", "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Env = append(append(os.Environ(), "MYTHOS_HOME="+t.TempDir()), env...)
	s := &served{cmd: cmd, log: new(bytes.Buffer)}
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if the test ends before it
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if err != nil || !ok {
		_ = cmd.Wait()
		t.Fatalf("%q, %v\n%s", line, err, s.log)
	}
	if s.url, err = url.Parse(text); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill ends it as a crash would.
func (s *served) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.cmd.Wait() // says that it was killed
}

func (s *served) client() *registry.Remote { return registry.Open(registry.Config{URL: s.url}) }

// TestRegistry runs registries as they are shipped.
func TestRegistry(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := build(t, root)
	for name, test := range map[string]func(*testing.T, string){
		"Killed": registryKilled, "Replicas": registryReplicas, "Ends": registryEnds,
		"Tokens": registryTokens, "Proofs": registryProofs, "TLS": registryTLS, "OCI": registryOCI,
	} {
		t.Run(name, func(t *testing.T) { test(t, bin) })
	}
}

// registryKilled kills a registry in the middle of writes, several times: what it
// acknowledged is there, and of the rest nothing is seen in part.
func registryKilled(t *testing.T, bin string) {
	dir := t.TempDir()
	const rounds, writers, enough = 3, 8, 60
	stored, tried := map[cid.Hash]bool{}, map[cid.Hash][]byte{}
	var mu sync.Mutex
	for round := range rounds {
		s := startRegistry(t, bin, nil, "--open", "--dir", dir)
		ctx, stop := context.WithCancel(t.Context())
		var acked atomic.Int64
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				r := s.client()
				for i := 0; ctx.Err() == nil; i++ {
					data := buckettest.Random(uint64(round<<12|w<<8|i), 1<<(i%19))
					data = append(data, byte(round), byte(w), byte(i))
					id := cid.Sum(data)
					mu.Lock()
					tried[id] = data
					mu.Unlock()
					if err := r.Put(ctx, buckettest.Value(data)); err != nil {
						return // it is dead; what became of this one is not known
					}
					mu.Lock()
					stored[id] = true
					mu.Unlock()
					if acked.Add(1) == enough {
						s.kill(t)
						stop()
					}
				}
			})
		}
		all.Wait()
		stop()
	}
	r := startRegistry(t, bin, nil, "--open", "--dir", dir).client()
	for id, data := range tried {
		got, err := remote.Fetch(t.Context(), r, id, 1<<20)
		switch {
		case err == nil && bytes.Equal(got, data):
		case errors.Is(err, cas.ErrNotFound) && !stored[id]:
		default:
			t.Errorf("%d bytes, acknowledged %t: %v", len(data), stored[id], err)
		}
	}
	if len(stored) < rounds*enough {
		t.Errorf("only %d were acknowledged", len(stored))
	}
}

// mirrors are the clients of registries that are one.
type mirrors struct {
	list []*registry.Remote
	at   int // of the one that answered last
}

// do tries an operation on one after the other until one says that it is done.
func (m *mirrors) do(op func(*registry.Remote) error) error {
	var errs []error
	for range 2 * len(m.list) {
		err := op(m.list[m.at])
		if err == nil {
			return nil
		}
		m.at = (m.at + 1) % len(m.list)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// registryReplicas runs three registries over one bucket in S3 and one index in
// PostgreSQL, and kills one under load: the clients finish, and what was
// acknowledged by any of them the others have.
func registryReplicas(t *testing.T, bin string) {
	index, c := postgrestest.Fresh(t), s3test.Server(t)
	scheme := "https://"
	if c.Insecure {
		scheme = "http://"
	}
	env := []string{"AWS_ENDPOINT_URL=" + scheme + c.Endpoint, "AWS_ACCESS_KEY_ID=" + c.AccessKey, "AWS_SECRET_ACCESS_KEY=" + c.SecretKey, "AWS_REGION=" + c.Region}
	var list []*served
	for range 3 {
		list = append(list, startRegistry(t, bin, env, "--open", "--dir", t.TempDir(), "--storage", "s3://"+c.Bucket+"/packages", "--index", index.URL, "--index-schema", index.Schema))
	}
	const clients, each = 6, 12
	type version struct {
		number         string
		payload        []byte
		manifest       []byte
		payloadID, cid cid.Hash
	}
	work := make([][]version, clients)
	for i := range clients {
		for j := range each {
			v := version{number: fmt.Sprintf("%d.%d.0", i, j), payload: []byte{byte(i*each + j)}}
			v.manifest = remotetest.Manifest(t, "demo/echo", v.number, v.payload[0])
			v.payloadID, v.cid = cid.Sum(v.payload), cid.Sum(v.manifest)
			work[i] = append(work[i], v)
		}
	}
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			m := mirrors{at: i % len(list)}
			for _, s := range list {
				m.list = append(m.list, s.client())
			}
			for _, v := range work[i] {
				for _, op := range []func(*registry.Remote) error{
					func(r *registry.Remote) error { return r.Put(t.Context(), buckettest.Value(v.payload)) },
					func(r *registry.Remote) error { return r.Put(t.Context(), buckettest.Value(v.manifest)) },
					func(r *registry.Remote) error {
						return r.Publish(t.Context(), v.cid, []sig.AgentID{remotetest.Key().Agent()})
					},
				} {
					if err := m.do(op); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
				}
				if done.Add(1) == clients*each/3 {
					list[0].kill(t)
				}
			}
		})
	}
	all.Wait()
	if done.Load() != clients*each {
		t.Fatalf("%d of %d are done", done.Load(), clients*each)
	}
	for n, s := range list[1:] {
		r := s.client()
		for _, v := range slices.Concat(work...) {
			id, err := r.Resolve(t.Context(), "demo/echo", v.number)
			if err != nil || id != v.cid {
				t.Errorf("replica %d: %s is %v, %v", n+1, v.number, id, err)
			}
			for _, id := range []cid.Hash{v.payloadID, v.cid} {
				if _, err := remote.Fetch(t.Context(), r, id, 1<<20); err != nil {
					t.Errorf("replica %d: %v", n+1, err)
				}
			}
		}
	}
}
