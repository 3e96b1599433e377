package local

import (
	"errors"
	"io"
	"os"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// recoverPack makes a pack whose writer may have died fit to be appended to,
// and returns its end. The caller has locked it.
//
// A group is written only when the one before it is durable, so a crash can have
// spoilt the last group alone, and only if no end mark follows it. Of that group
// whole frames stay; a frame with other bytes than its hash becomes void, which
// is safe to be interrupted, and what is behind the last whole frame is cut off.
// Nobody was told that any of these are stored.
func recoverPack(f *os.File, name, dir string) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < int64(len(packHead)) {
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
		_, err := f.WriteAt([]byte(packHead), 0)
		return int64(len(packHead)), errors.Join(err, f.Sync())
	}
	m, from := markerOf(name), int64(len(packHead))
	if x, indexF := loadIndex(indexPath(dir, name), info.Size()); x != nil {
		from = x.covered
		_ = indexF.Close() // it was only read
	}
	last, s, err := lastGroup(f, m, from, info.Size())
	if err != nil {
		return 0, err
	}
	if len(last) == 0 && s.torn == (region{}) {
		return s.end, nil
	}
	for _, at := range last {
		if err := voidIfTorn(f, m, at); err != nil {
			return 0, err
		}
	}
	if s.torn != (region{}) {
		if err := f.Truncate(s.end); err != nil {
			return 0, err
		}
	}
	return s.end, f.Sync()
}

// located is a frame and where it is.
type located struct {
	off int64
	frame
}

// lastGroup returns the objects of a pack's last group, none if an end mark says
// that they are durable.
func lastGroup(r io.ReaderAt, m marker, from, size int64) ([]located, scan, error) {
	var last []located
	group := uint32(0)
	s, err := walk(r, m, from, size, func(off int64, x frame) error {
		if x.group > group {
			group, last = x.group, last[:0]
		}
		if x.kind == kindObject && x.group == group {
			last = append(last, located{off, x})
		}
		return nil
	})
	return last, s, err
}

func voidIfTorn(f *os.File, m marker, at located) error {
	b := make([]byte, at.length)
	if _, err := f.ReadAt(b, at.off+headerSize); err != nil && len(b) > 0 {
		return err
	}
	if cid.Sum(b) == at.hash {
		return nil
	}
	void := frame{kind: kindVoid, length: at.length, group: at.group, time: at.time}
	_, err := f.WriteAt(void.append(nil, m), at.off)
	return err
}
