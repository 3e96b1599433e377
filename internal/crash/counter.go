package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// counter counts invocations outside the system under test: over HTTP those of
// wasm tools, which tell it their idempotency id before they answer.
type counter struct {
	server http.Server
	url    string

	mu    sync.Mutex
	calls map[cid.Hash]int
	held  map[cid.Hash]chan struct{} // invocations of these ids get no answer until it is closed
	come  chan cid.Hash              // ids that are held and have come
}

func newCounter() (*counter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &counter{
		url: fmt.Sprintf("http://%s/", l.Addr()), calls: map[cid.Hash]int{},
		held: map[cid.Hash]chan struct{}{}, come: make(chan cid.Hash, 64),
	}
	c.server.Handler = http.HandlerFunc(c.count)
	go func() { _ = c.server.Serve(l) }() // until close
	return c, nil
}

func (c *counter) count(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 33))
	if err != nil || len(raw) != 32 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := cid.Hash(raw)
	if r.URL.Path == "/"+probePath {
		c.tell(w, id)
		return
	}
	c.mu.Lock()
	c.calls[id]++
	wait := c.held[id]
	c.mu.Unlock()
	if wait != nil {
		c.come <- id
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// probePath is where a probe asks whether an id was counted: 200 if so, else 404.
const probePath = "probe"

func (c *counter) tell(w http.ResponseWriter, id cid.Hash) {
	if c.of(id) == 0 {
		w.WriteHeader(http.StatusNotFound)
	}
}

// hold keeps invocations of id from being answered until the function returned is
// called.
func (c *counter) hold(id cid.Hash) (release func()) {
	wait := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[id] = wait
	return sync.OnceFunc(func() {
		c.mu.Lock()
		delete(c.held, id)
		c.mu.Unlock()
		close(wait)
	})
}

func (c *counter) of(id cid.Hash) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

// reset forgets what was counted.
func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = map[cid.Hash]int{}
}

func (c *counter) close() error { return c.server.Close() }

// countedIn reads the file in which native tools count.
func countedIn(path string) (map[cid.Hash]int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(raw)%32 != 0 {
		return nil, fmt.Errorf("%s has %d bytes, which are no whole ids", path, len(raw))
	}
	calls := map[cid.Hash]int{}
	for ; len(raw) > 0; raw = raw[32:] {
		calls[cid.Hash(raw[:32])]++
	}
	return calls, nil
}
