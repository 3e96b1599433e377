package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/runner/process"
)

// Interpreters returns the runtimes that process modules can use here. The error
// tells which of the configured ones cannot be used.
func (n *Node) Interpreters(ctx context.Context) ([]process.Interpreter, error) {
	m := n.recallInterpreters()
	found, err := process.Discover(ctx, n.Settings.Interpreters, m)
	m.save()
	return found, err
}

// interpreters remembers interpreters in a file of the cache folder: hashing and
// asking one takes longer than a short effect. They are looked up by path, size,
// time and mode. The file says what modules are shown of this machine, so it
// carries a MAC under the cache's key; one that cannot be read or believed only
// costs time.
type interpreters struct {
	path  string
	key   []byte
	known map[string]process.Interpreter
	fresh bool
}

// savedInterpreters is the file.
type savedInterpreters struct {
	MAC   []byte          `json:"mac"` // HMAC-SHA-256 of Known
	Known json.RawMessage `json:"known"`
}

const (
	maxInterpreters     = 16
	maxInterpretersFile = 1 << 20 // bytes
)

func (n *Node) recallInterpreters() *interpreters {
	m := &interpreters{path: filepath.Join(n.Paths.Cache, "interpreters.json")}
	var err error
	if m.key, err = n.cacheKey(); err != nil {
		return m
	}
	raw, err := readFile(m.path, maxInterpretersFile)
	var saved savedInterpreters
	if err != nil || json.Unmarshal(raw, &saved) != nil || !hmac.Equal(saved.MAC, m.mac(saved.Known)) {
		return m
	}
	if json.Unmarshal(saved.Known, &m.known) != nil {
		m.known = nil
	}
	return m
}

func (m *interpreters) mac(raw []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte("mythos.interpreters"))
	h.Write(raw)
	return h.Sum(nil)
}

// Recall implements process.Memory.
func (m *interpreters) Recall(key string) (process.Interpreter, bool) {
	i, ok := m.known[key]
	return i, ok
}

// Remember implements process.Memory.
func (m *interpreters) Remember(key string, i process.Interpreter) {
	if m.known == nil || len(m.known) >= maxInterpreters {
		m.known = map[string]process.Interpreter{}
	}
	m.known[key], m.fresh = i, true
}

func (m *interpreters) save() {
	if !m.fresh || m.key == nil {
		return
	}
	known, err := json.Marshal(m.known)
	if err != nil {
		return
	}
	raw, err := json.Marshal(savedInterpreters{m.mac(known), known})
	if err == nil && atomicfile.MkdirAll(filepath.Dir(m.path), 0o700) == nil {
		_ = atomicfile.Write(m.path, raw, 0o600)
	}
}
