package folder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

const (
	// young is for how long a value may be there that whoever linked it has not
	// synced yet; it counts from its last byte.
	young = time.Hour
	// maxSettled bounds how many values are remembered.
	maxSettled = 1 << 14
)

// settled remembers young values that are known to be durable, by path, with the time
// of their file: another one has another time.
type settled struct {
	mu sync.Mutex
	at map[string]time.Time
}

// settle makes a value that is there durable. Who may not look into the folder
// changes nothing there and need not.
func (b *Bucket) settle(path string, info fs.FileInfo) error {
	if time.Since(info.ModTime()) >= young || b.settled.has(path, info.ModTime()) {
		return nil
	}
	err := b.syncDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		b.settled.note(path, info.ModTime())
	}
	return err
}

func (x *settled) has(path string, at time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	known, ok := x.at[path]
	return ok && known.Equal(at)
}

func (x *settled) note(path string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == nil || len(x.at) >= maxSettled {
		x.at = map[string]time.Time{}
	}
	x.at[path] = at
}
