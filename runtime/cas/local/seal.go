package local

import (
	"errors"
	"path/filepath"
)

// finish marks the pack's end as durable and gives it up. A pack that is full,
// or has many frames behind its index, gets a new index.
func (w *writer) finish(full bool) error {
	if w.p == nil {
		return nil
	}
	if w.dirty {
		x := frame{kind: kindEnd, group: w.p.group + 1, time: w.s.now().Unix()}
		g := &plan{buf: x.append(nil, w.p.marker), frames: []frame{x}}
		if err := w.write(g); err != nil {
			return err
		}
		w.kept = w.end
	}
	if w.p.frames > indexAfter || full && w.p.frames > 0 {
		if err := w.writeIndex(); err != nil {
			return errors.Join(err, w.disown())
		}
	}
	return w.disown()
}

// writeIndex writes the index of everything that is in the pack.
func (w *writer) writeIndex() error {
	if err := syncData(w.f); err != nil {
		return err
	}
	s := w.s.packs
	s.mu.Lock()
	entries, err := w.p.entries()
	if errors.Is(err, errIndex) {
		if err = w.p.rebuild(); err == nil {
			entries, err = w.p.entries()
		}
	}
	group := w.p.group
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return w.s.putFile(indexPath(s.dir, w.p.name), encodeIndex(w.end, group, entries))
}

func indexPath(dir, name string) string { return filepath.Join(dir, name+indexSuffix) }
