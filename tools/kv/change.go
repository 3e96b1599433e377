//go:build unix

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// change makes a put or delete once for each idempotency id and answers {1 was
// there before}.
func (s *store) change(q *request, c *tool.Call) (tool.Value, error) {
	digest := sha256.Sum256(c.Payload.Raw())
	done := doneDir + "/" + hex.EncodeToString(c.IdemID[:])
	before, ok, err := s.read(done)
	if err != nil {
		return tool.Value{}, err
	}
	if ok {
		return repeated(before, digest)
	}
	name := keyFile(q.key)
	_, was, err := s.read(name)
	if err != nil {
		return tool.Value{}, err
	}
	if was && q.absent {
		return tool.Value{}, tool.Fail(409, "key_exists", "the key is there already")
	}
	p := pending{name: name, put: q.op == "put", done: done, digest: digest, answer: tool.Map(record.Pair(1, tool.Bool(was)))}
	if err := s.begin(p, q.value); err != nil {
		return tool.Value{}, full(errors.Join(err, s.abandon()))
	}
	return p.answer, s.carryOut(p)
}

// begin writes down what carryOut needs.
func (s *store) begin(p pending, value tool.Value) error {
	if p.put {
		if err := s.write(stagedName, value); err != nil {
			return err
		}
	}
	return s.write(pendingName, p.encode())
}

// abandon takes back a change that could not be written down.
func (s *store) abandon() error { return errors.Join(s.remove(pendingName), s.remove(stagedName)) }

// carryOut makes a pending change; doing so again changes nothing.
func (s *store) carryOut(p pending) error {
	var err error
	if p.put {
		err = s.move(stagedName, p.name)
	} else {
		err = s.remove(p.name)
	}
	if err != nil {
		return err
	}
	return s.move(pendingName, p.done)
}

// recover carries out a change that another process began, and removes what one
// that did not come so far left.
func (s *store) recover() error {
	v, found, err := s.read(pendingName)
	if err != nil {
		return err
	}
	if !found {
		return s.sweep()
	}
	p, err := decodePending(v)
	if err != nil {
		return err
	}
	return s.carryOut(p)
}

func (s *store) sweep() error {
	for _, name := range []string{stagedName, tempName} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// repeated answers a change that was made before.
func repeated(before tool.Value, digest [32]byte) (tool.Value, error) {
	p, err := decodePending(before)
	if err != nil {
		return tool.Value{}, err
	}
	if p.digest != digest {
		return tool.Value{}, tool.Fail(409, "idempotency_conflict", "the same idempotency id was used for another change")
	}
	return p.answer, nil
}

// damaged keeps a failure of reading the store's own files from being taken for
// one of the request.
func damaged(err error) error { return errors.New("the store is damaged: " + err.Error()) }

// pending is a change that was begun, or done.
type pending struct {
	name   string // of the key's file
	put    bool
	done   string   // the name that its own file gets
	digest [32]byte // SHA-256 of the request's payload
	answer tool.Value
}

func (p *pending) encode() tool.Value {
	return tool.Map(
		record.Pair(1, tool.Text(p.name)), record.Pair(2, tool.Bool(p.put)), record.Pair(3, tool.Text(p.done)),
		record.Pair(4, tool.Bytes(p.digest[:])), record.Pair(5, p.answer),
	)
}

func decodePending(v tool.Value) (p pending, err error) {
	r, err := record.Read(v, 5)
	if err != nil {
		return p, damaged(err)
	}
	var err1, err2, err3 error
	p.name, err1 = r[1].Text()
	p.put, err2 = r[2].Bool()
	p.done, err3 = r[3].Text()
	digest, err4 := r[4].Bytes()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return p, damaged(err)
	}
	copy(p.digest[:], digest)
	p.answer = r[5]
	return p, nil
}
