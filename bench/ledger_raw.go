package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// rawLog is a file that grows: length, bytes, length, bytes. Group commit is the
// journal's own: who waits takes the turn and writes what is queued, in one write
// and one sync.
type rawLog struct {
	file  *os.File
	queue chan *rawWrite
	turn  chan struct{}
	buf   []byte
}

type rawWrite struct {
	parts [][]byte
	done  chan struct{}
	err   error
}

func (b *ledgerBench) openRaw() (keeper, func() (int64, error), error) {
	dir, err := b.fresh()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Create(filepath.Join(dir, "log"))
	return &rawLog{file: f, queue: make(chan *rawWrite, 512), turn: make(chan struct{}, 1)}, func() (int64, error) { return sizeOf(dir) }, err
}

func (l *rawLog) Register(_ context.Context, p *pair) error { return l.write(p.registration.Body) }

func (l *rawLog) Commit(_ context.Context, p *pair) error {
	return l.write(p.commitment.Body, p.kept)
}

func (l *rawLog) CommitAndRegister(_ context.Context, done, next *pair) error {
	return l.write(done.commitment.Body, done.kept, next.registration.Body)
}

func (l *rawLog) Close() error { return l.file.Close() }

func (l *rawLog) write(parts ...[]byte) error {
	w := &rawWrite{parts: parts, done: make(chan struct{})}
	l.queue <- w
	for {
		select {
		case <-w.done:
			return w.err
		case l.turn <- struct{}{}:
			l.serve()
			<-l.turn
		}
	}
}

func (l *rawLog) serve() {
	var batch []*rawWrite
	l.buf = l.buf[:0]
	for more := true; more && len(batch) < 512; {
		select {
		case w := <-l.queue:
			batch = append(batch, w)
			for _, part := range w.parts {
				l.buf = append(binary.BigEndian.AppendUint32(l.buf, uint32(len(part))), part...)
			}
		default:
			more = false
		}
	}
	if len(batch) == 0 {
		return
	}
	_, err := l.file.Write(l.buf)
	err = errors.Join(err, dataSync(l.file))
	for _, w := range batch {
		w.err = err
		close(w.done)
	}
}

// boltLog keeps entries in bbolt under a sequence, found by idempotency id and run.
type boltLog struct {
	db    *bbolt.DB
	batch bool
}

var boltEntries, boltIDs, boltRuns = []byte("entry"), []byte("idem"), []byte("run")

const boltDelay = 200 * time.Microsecond

func (b *ledgerBench) openBolt(batch bool) (keeper, func() (int64, error), error) {
	dir, err := b.fresh()
	if err != nil {
		return nil, nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "bolt.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, nil, err
	}
	db.MaxBatchDelay = boltDelay
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{boltEntries, boltIDs, boltRuns} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	return &boltLog{db, batch}, func() (int64, error) { return sizeOf(dir) }, err
}

func (l *boltLog) Register(_ context.Context, p *pair) error {
	return l.write(p, 0, p.registration.Body, nil)
}

func (l *boltLog) Commit(_ context.Context, p *pair) error {
	return l.write(p, 1, p.commitment.Body, p.kept)
}

func (l *boltLog) Close() error { return l.db.Close() }

var errMoved = errors.New("the id has other entries than it should")

// write appends the nth entry of an id, if the id has as many already.
func (l *boltLog) write(p *pair, n int, body, kept []byte) error {
	do := l.db.Update
	if l.batch {
		do = l.db.Batch
	}
	return do(func(tx *bbolt.Tx) error {
		ids := tx.Bucket(boltIDs)
		seqs := ids.Get(p.idem[:])
		if len(seqs) != 8*n {
			return errMoved
		}
		entries := tx.Bucket(boltEntries)
		seq, err := entries.NextSequence()
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(nil, seq)
		entries.FillPercent = 1 // of pages that only ever fill up
		if err := entries.Put(key, append(append([]byte(nil), body...), kept...)); err != nil {
			return err
		}
		if err := ids.Put(p.idem[:], append(append([]byte(nil), seqs...), key...)); err != nil {
			return err
		}
		return tx.Bucket(boltRuns).Put(append(p.registration.Run[:], key...), nil)
	})
}
