package pairs

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	client "github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/transfer"
)

var (
	bigMiB  = flag.Int64("big", 256, "MiB of the package that TestBigPull pulls")
	bigDir  = flag.String("bigdir", "", "folder in which TestBigPull keeps the store; default a temporary one")
	bigSeed = flag.Uint64("bigseed", 0, "seed of the kills; 0: the time")
)

const (
	kills        = 5
	inFlight     = 4         // chunks, RFC-MYTHOS-0011 §1 in the client
	maxResident  = 200 << 20 // bytes of a pulling process
	artifactSize = 1 << 30   // bytes of one document, at most

	pullEnv = "MYTHOS_PAIRS_PULL" // URL, store and manifest of a pulling process
)

// TestMain is the pulling process too.
func TestMain(m *testing.M) {
	if job, ok := os.LookupEnv(pullEnv); ok {
		os.Exit(pulling(strings.Split(job, "\n")))
	}
	os.Exit(m.Run())
}

// pulling pulls, and prints what it has fetched and how much memory it took.
func pulling(job []string) int {
	err := func() error {
		u, err := url.Parse(job[0])
		if err != nil {
			return err
		}
		id, err := cid.Parse(job[2])
		if err != nil {
			return err
		}
		s, err := local.Open(job[1])
		if err != nil {
			return err
		}
		defer s.Close()
		from := transfer.Named{Name: job[0], Remote: client.Open(client.Config{URL: u})}
		p, err := transfer.Pull(context.Background(), []transfer.Named{from}, s, id, transfer.Options{})
		if err != nil {
			return err
		}
		fmt.Printf("%d %d\n", p.Objects, resident(os.Getpid()))
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// resident returns the most memory that a process ever had, in bytes; 0 if it ended.
func resident(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// made is a remote whose chunks are made when they are asked for, of incompressible
// bytes: the origin of a package needs no disk.
type made struct {
	small  map[cid.Hash][]byte
	chunks map[cid.Hash]chunk
}

// chunk is the place of a chunk among all.
type chunk struct {
	number uint64
	size   int
}

func (c chunk) bytes() []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], c.number)
	b := make([]byte, c.size)
	_, _ = rand.NewChaCha8(seed).Read(b) // which never fails
	return b
}

// stream reads the chunks of an artifact.
type stream struct {
	next, end uint64
	left      []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		if s.next == s.end {
			return 0, io.EOF
		}
		s.left = chunk{s.next, blob.FlatLimit}.bytes()
		s.next++
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// makeBig makes a package of so many chunks in documents.
func makeBig(t *testing.T, chunks uint64) (*made, cid.Hash) {
	t.Helper()
	m := &made{map[cid.Hash][]byte{}, map[cid.Hash]chunk{}}
	ir := []byte("small")
	m.small[cid.Sum(ir)] = ir
	list := []manifest.Artifact{artifactOf(blob.ArtifactOf(ir), manifest.KindIR)}
	for first := uint64(0); first < chunks; first += artifactSize / blob.FlatLimit {
		end := min(chunks, first+artifactSize/blob.FlatLimit)
		number := first
		id, err := blob.WriteArtifact(&stream{next: first, end: end}, func(h cid.Hash, b []byte) error {
			if len(b) == blob.FlatLimit {
				m.chunks[h] = chunk{number, len(b)}
				number++
				return nil
			}
			m.small[h] = bytes.Clone(b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, artifactOf(id, manifest.KindDoc))
	}
	slices.SortFunc(list, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	raw, err := manifest.Sign(&manifest.Manifest{
		Name: "big", Version: version, Requires: manifest.Requires{ExecutorMinVersion: "0.1.0"}, Artifacts: list,
		Entrypoints: []manifest.Entrypoint{{Name: "main", Bundle: cid.Sum(ir)}},
	}, publisher())
	if err != nil {
		t.Fatal(err)
	}
	m.small[cid.Sum(raw)] = raw
	return m, cid.Sum(raw)
}

func artifactOf(id blob.ArtifactID, kind uint8) manifest.Artifact {
	return manifest.Artifact{Kind: kind, CID: id.CID, Size: id.Size, SHA256: id.SHA256, MediaType: "application/x-test"}
}

func (m *made) find(id cid.Hash) ([]byte, bool) {
	if c, ok := m.chunks[id]; ok {
		return c.bytes(), true
	}
	b, ok := m.small[id]
	return b, ok
}

func (m *made) Head(_ context.Context, id cid.Hash) (int64, error) {
	if c, ok := m.chunks[id]; ok {
		return int64(c.size), nil
	}
	if b, ok := m.small[id]; ok {
		return int64(len(b)), nil
	}
	return 0, fault.New(cas.ErrNotFound, "no such object").About(id.String())
}

func (m *made) Has(_ context.Context, ids []cid.Hash) ([]bool, error) {
	there := make([]bool, len(ids))
	for i, id := range ids {
		_, there[i] = m.find(id)
	}
	return there, nil
}

func (m *made) Get(_ context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	b, ok := m.find(id)
	if !ok {
		return nil, fault.New(cas.ErrNotFound, "no such object").About(id.String())
	}
	off = min(max(off, 0), int64(len(b)))
	if n < 0 || n > int64(len(b))-off {
		n = int64(len(b)) - off
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

func (m *made) Put(context.Context, bucket.Value) error {
	return fault.New(remote.ErrUnsupported, "it is only read")
}

func (m *made) List(context.Context) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		yield(remote.Object{}, fault.New(remote.ErrUnsupported, "it lists nothing"))
	}
}

func (m *made) Delete(context.Context, cid.Hash) error {
	return m.Put(context.Background(), bucket.Value{})
}
func (m *made) Close() error { return nil }

// journal is the log of a server: what was asked for in this round and before, and
// how many bytes left. At a mark it kills.
type journal struct {
	mu     sync.Mutex
	before map[string]bool // chunks asked for in rounds that were killed
	round  map[string]int  // in this one
	total  int             // requests for chunks in all rounds
	sent   int64           // in this one
	mark   int64           // of sent; 0: none
	kill   func()
}

func (j *journal) wrap(next http.Handler, chunk func(cid string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := path.Base(r.URL.Path); r.Method == http.MethodGet && chunk(id) {
			j.mu.Lock()
			j.round[id]++
			j.total++
			j.mu.Unlock()
		}
		next.ServeHTTP(&counted{w, j}, r)
	})
}

// counted counts what is sent. It has no ReadFrom, so that all passes through it.
type counted struct {
	http.ResponseWriter
	j *journal
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	if c.j.sent += int64(n); c.j.mark > 0 && c.j.sent >= c.j.mark {
		c.j.mark = 0
		c.j.kill()
	}
	return n, err
}

// end ends a round and returns how many chunks it asked for, and how many of them an
// earlier one had asked for.
func (j *journal) end() (again, asked int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id := range j.round {
		if j.before[id] {
			again++
		}
		j.before[id] = true
	}
	asked = len(j.round)
	j.round, j.sent, j.mark = map[string]int{}, 0, 0
	return again, asked
}

// TestBigPull pulls a package of -big MiB in a process of its own, which is killed
// five times at random bytes. Each time no more than the chunks in flight are asked
// for again, by the server's log, and no process has more than 200 MiB of memory.
func TestBigPull(t *testing.T) {
	chunks := uint64(*bigMiB) << 20 / blob.FlatLimit
	if chunks < 4*kills*inFlight/2 {
		t.Fatalf("-big %d: too little to be killed %d times", *bigMiB, kills)
	}
	seed := *bigSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	random := rand.New(rand.NewPCG(seed, 0))
	started := time.Now()
	origin, id := makeBig(t, chunks)
	t.Logf("seed %d: %d MiB in %d chunks and %d other objects, made in %v", seed, *bigMiB, len(origin.chunks), len(origin.small), time.Since(started).Round(time.Millisecond))
	j := &journal{before: map[string]bool{}, round: map[string]int{}}
	at := serve(t, registry.Options{Objects: origin}, func(next http.Handler) http.Handler {
		return j.wrap(next, func(text string) bool {
			h, err := cid.Parse(text)
			_, ok := origin.chunks[h]
			return err == nil && ok
		})
	})
	dir := *bigDir
	if dir == "" {
		dir = t.TempDir()
	}
	started = time.Now()
	for n := range kills {
		// Between a 14th and a 7th of it, so that the last kill comes before the end.
		share := int64(chunks) * blob.FlatLimit / (kills + 2)
		mark := share/2 + random.Int64N(share/2)
		peak := killedPull(t, j, at, dir, id, mark)
		again, asked := j.end()
		t.Logf("kill %d after %d bytes: %d chunks asked for, %d of them again, peak %d MiB", n+1, mark, asked, again, peak>>20)
		if again > inFlight {
			t.Errorf("kill %d: %d chunks were fetched again, at most %d", n+1, again, inFlight)
		}
		if peak > maxResident {
			t.Errorf("kill %d: the process had %d MiB", n+1, peak>>20)
		}
	}
	objects, peak := lastPull(t, at, dir, id)
	again, asked := j.end()
	t.Logf("the rest: %d objects, %d chunks, %d of them again, peak %d MiB; %v in all", objects, asked, again, peak>>20, time.Since(started).Round(time.Millisecond))
	if again > inFlight || peak > maxResident || peak == 0 {
		t.Errorf("the rest: %d chunks again, peak %d bytes", again, peak)
	}
	if len(j.before) != len(origin.chunks) {
		t.Errorf("%d chunks were asked for, want %d", len(j.before), len(origin.chunks))
	}
	if twice := j.total - len(origin.chunks); twice > kills*inFlight {
		t.Errorf("%d requests for chunks were made twice, at most %d", twice, kills*inFlight)
	}
	wholeIn(t, dir, id, chunks)
}

// process is a pulling process.
func process(t *testing.T, at *url.URL, dir string, id cid.Hash) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), pullEnv+"="+at.String()+"\n"+dir+"\n"+id.String())
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	return cmd, &out, &stderr
}

// killedPull begins a pull and kills it when the server has sent mark bytes. It
// returns the most memory that the process had.
func killedPull(t *testing.T, j *journal, at *url.URL, dir string, id cid.Hash, mark int64) (peak int64) {
	t.Helper()
	cmd, _, stderr := process(t, at, dir, id)
	j.mu.Lock()
	err := cmd.Start()
	if err == nil {
		j.mark, j.kill = mark, func() {
			peak = resident(cmd.Process.Pid)
			_ = cmd.Process.Kill() // it may have failed by itself, which Wait tells
		}
	}
	j.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the pull was not killed but ended: %v\n%s", err, stderr.Bytes())
	}
	j.mu.Lock() // the server may still be telling
	defer j.mu.Unlock()
	return peak
}

func lastPull(t *testing.T, at *url.URL, dir string, id cid.Hash) (objects, peak int64) {
	t.Helper()
	cmd, out, stderr := process(t, at, dir, id)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if _, err := fmt.Sscan(out.String(), &objects, &peak); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	return objects, peak
}

// wholeIn checks every object of the package in a store.
func wholeIn(t *testing.T, dir string, id cid.Hash, chunks uint64) {
	t.Helper()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var bytes uint64
	err = closure.Walk(t.Context(), s.Get, id, func(o closure.Object) error {
		b, err := s.Get(t.Context(), o.CID, blob.FlatLimit)
		if o.Artifact != nil {
			bytes += uint64(len(b))
		}
		return err
	})
	if want := chunks*blob.FlatLimit + uint64(len("small")); err != nil || bytes != want {
		t.Errorf("the store has %d bytes of artifacts, %v; want %d", bytes, err, want)
	}
}
