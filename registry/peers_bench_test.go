package registry_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// peer is a registry that is measured: how objects go there and come back.
type peer struct {
	name string
	put  func(*http.Client, cid.Hash, []byte) error
	get  func(*http.Client, cid.Hash) error
}

// mythosPeer speaks RFC-MYTHOS-0011 §4.1.
func mythosPeer(base string) peer {
	at := func(id cid.Hash) string { return base + "/objects/" + id.String() }
	return peer{
		"mythos",
		func(c *http.Client, id cid.Hash, b []byte) error { return call(c, "PUT", at(id), b, 201, nil) },
		func(c *http.Client, id cid.Hash) error { return call(c, "GET", at(id), nil, 200, nil) },
	}
}

// ociPeer speaks the OCI distribution API, where an upload is two requests.
func ociPeer(base string) peer {
	const repository = "/v2/bench/blobs/"
	return peer{
		"distribution",
		func(c *http.Client, id cid.Hash, b []byte) error {
			var location string
			if err := call(c, "POST", base+repository+"uploads/", nil, 202, &location); err != nil {
				return err
			}
			return call(c, "PUT", location+"&digest="+id.String(), b, 201, nil)
		},
		func(c *http.Client, id cid.Hash) error {
			return call(c, "GET", base+repository+id.String(), nil, 200, nil)
		},
	}
}

func call(c *http.Client, method, url string, body []byte, status int, location *string) error {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != status {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	if location != nil {
		*location = resp.Header.Get("Location")
	}
	return nil
}

// load is what clients do at the same time.
type load struct {
	op      string
	size    int
	clients int
}

// source gives objects that nobody has yet.
type source struct {
	body []byte
	next *atomic.Uint64
}

func (s *source) object() (cid.Hash, []byte) {
	b := bytes.Clone(s.body)
	binary.BigEndian.PutUint64(b, s.next.Add(1))
	return cid.Sum(b), b
}

// measure returns how often a second clients do something for a while.
func (l load) measure(b *testing.B, p peer, c *http.Client, span time.Duration, next *atomic.Uint64) float64 {
	b.Helper()
	src := &source{buckettest.Random(uint64(l.size), l.size), next}
	known, raw := src.object()
	if err := p.put(c, known, raw); err != nil {
		b.Fatal(err)
	}
	var done atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for range l.clients {
		all.Go(func() {
			for time.Since(start) < span {
				err := error(nil)
				if l.op == "GET" {
					err = p.get(c, known)
				} else {
					id, raw := src.object()
					err = p.put(c, id, raw)
				}
				if err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// BenchmarkPeers measures the registries at MYTHOS_BENCH_REGISTRY and
// MYTHOS_BENCH_DISTRIBUTION, interleaved: MYTHOS_BENCH_ROUNDS rounds, in each of
// which every one runs for MYTHOS_BENCH_MS milliseconds. scripts/bench-registry.sh runs it.
func BenchmarkPeers(b *testing.B) {
	ours, theirs := os.Getenv("MYTHOS_BENCH_REGISTRY"), os.Getenv("MYTHOS_BENCH_DISTRIBUTION")
	if ours == "" || theirs == "" {
		b.Skip("scripts/bench-registry.sh starts the registries that this measures")
	}
	ms, err1 := strconv.Atoi(os.Getenv("MYTHOS_BENCH_MS"))
	rounds, err2 := strconv.Atoi(os.Getenv("MYTHOS_BENCH_ROUNDS"))
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	peers := []peer{mythosPeer(ours), ociPeer(theirs)}
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}}
	var next atomic.Uint64
	next.Store(uint64(time.Now().UnixNano())) // of a server that has the objects of the last run
	fmt.Printf("  %-4s %8s %8s %12s %14s %8s\n", "", "size", "clients", peers[0].name, peers[1].name, "ratio")
	for _, op := range []string{"PUT", "GET"} {
		for _, size := range []int{1 << 10, 64 << 10, 16 << 20} {
			for _, clients := range []int{1, 16} {
				l := load{op, size, clients}
				rates := make([][]float64, len(peers))
				var ratios []float64
				for round := range rounds {
					var now [2]float64
					for i := range peers {
						at := (i + round) % len(peers) // who begins changes
						now[at] = l.measure(b, peers[at], c, time.Duration(ms)*time.Millisecond, &next)
						rates[at] = append(rates[at], now[at])
					}
					ratios = append(ratios, now[0]/now[1])
				}
				fmt.Printf("  %-4s %8s %8d %10.1f/s %12.1f/s %8.2f\n", op, sizeName(size), clients, median(rates[0]), median(rates[1]), median(ratios))
			}
		}
	}
}

func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func median(list []float64) float64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}
