package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// writerLock is the advisory lock on ledger.lock, whose text names its holder.
type writerLock struct{ f *os.File }

const lockPoll = 20 * time.Millisecond

// takeLock locks ledger.lock, waiting for another process unless o says not to.
func takeLock(ctx context.Context, o Options) (*writerLock, error) {
	path := filepath.Join(o.Dir, "ledger.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, openError(path, err)
	}
	told := ""
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			if err := stamp(f, o.Clock()); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return &writerLock{f}, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(openError(path, err), f.Close())
		case o.NoWait:
			return nil, errors.Join(fault.New(ErrBusy, "another process is writing: %s", holder(path)).About(path), f.Close())
		}
		if now := holder(path); now != told && o.OnWait != nil {
			told = now // the lock may pass to another process that waits
			o.OnWait(now)
		}
		if err := pause(ctx, lockPoll); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stamp writes who holds the lock; it is for people, so a failure to write it
// matters only in that the disk is unusable.
func stamp(f *os.File, now time.Time) error {
	text := fmt.Sprintf("pid %d since %s\n", os.Getpid(), now.UTC().Format(time.RFC3339))
	if err := f.Truncate(0); err != nil {
		return openError(f.Name(), err)
	}
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		return openError(f.Name(), err)
	}
	return nil
}

func holder(path string) string {
	const unknown = "an unknown process"
	f, err := os.Open(path)
	if err != nil {
		return unknown
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 101))
	text := strings.TrimSpace(string(b))
	if err != nil || text == "" || len(text) > 100 {
		return unknown
	}
	return text
}

func (l *writerLock) release() { l.f.Close() }
