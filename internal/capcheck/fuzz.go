package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/internal/capcheck/second"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// perBatch is how many mutants a sound chain has.
const perBatch = 16

// tally counts what came out.
type tally struct {
	chains, mutants, resigned, accepted uint64
	by                                  map[second.Verdict]uint64 // without the link
	links                               [caps.MaxLinks + 2]uint64
}

// batch judges one sound chain and its mutants. seed and number say which.
func batch(seed, number uint64, t *tally) error {
	d := dice{rand.New(rand.NewPCG(seed, number))}
	base, other := d.sound(), d.sound()
	a, b := d.use(base.steps[len(base.steps)-1].power)
	for i := range perBatch {
		c, resigned := base, true
		if i > 0 {
			c, resigned = d.mutant(base, other)
			t.mutants++
		}
		proof := caps.EncodeProof(c.raw)
		if i > 0 && d.oneIn(40) {
			proof, resigned = d.damage(proof), false
		}
		if d.oneIn(4) {
			a, b = d.use(c.steps[len(c.steps)-1].power)
		}
		d.circumstances(c.ids, &a, &b)
		v := judged(proof, a)
		if w := second.Evaluate(proof, b); v != w {
			return fmt.Errorf("seed %d, batch %d, chain %d: the product says %+v, the second evaluator %+v\nuse %+v\n    %+v\nproof %x", seed, number, i, v, w, a, b, proof)
		}
		t.count(v, len(c.steps), resigned && i > 0)
	}
	return nil
}

func (t *tally) count(v second.Verdict, links int, resigned bool) {
	t.chains++
	t.links[min(links, caps.MaxLinks+1)]++
	if resigned {
		t.resigned++
	}
	if v.Code == "" {
		t.accepted++
	}
	v.Link = 0
	t.by[v]++
}

// mutant changes one to three things and signs again.
func (d dice) mutant(base, other *chain) (*chain, bool) {
	c, resigned := base.clone(), true
	for range 1 + min(d.IntN(5), 2)/2 + d.IntN(8)/7 {
		at := max(d.IntN(len(c.steps)), d.IntN(len(c.steps)), d.IntN(len(c.steps))) // late links more often: fewer signatures
		c.touch(at)
		resigned = pick(d, mutations...)(d, c, at, other) && resigned
	}
	c.sign()
	return c, resigned
}

// judged is the product's verdict.
func judged(proof []byte, u caps.Use) second.Verdict {
	c, err := caps.DecodeProof(proof)
	if err != nil {
		return second.Verdict{Code: fault.CodeOf(err), Link: -1}
	}
	_, err = c.Check(u)
	var denial *caps.Denial
	if errors.As(err, &denial) {
		return second.Verdict{Code: denial.Code, Link: denial.Link, Rule: denial.Rule}
	}
	return second.Verdict{Code: fault.CodeOf(err)}
}

// circumstances sets who asks, when, whom it trusts and what is revoked.
func (d dice) circumstances(ids []cid.Hash, a *caps.Use, b *second.Use) {
	who, trusted := executor, authority
	if d.oneIn(50) {
		who = d.IntN(len(keys))
	}
	if d.oneIn(60) {
		trusted = d.IntN(len(keys))
	}
	a.Now = now
	if d.oneIn(25) {
		a.Now += pick[int64](d, -1, 1, 2, -600_000, 600_000)
	}
	a.Subject = keys[who].Agent()
	a.Authority = func(x sig.AgentID) bool { return x.Equal(keys[trusted].Agent()) }
	b.Subject, b.Now = a.Subject.Key, a.Now
	b.Trusts = func(key [32]byte) bool { return key == keys[trusted].Agent().Key }

	opened := map[[32]byte]*caps.RevocationList{}
	b.Lists = map[[32]byte]*caps.Revocations{}
	for i, k := range keys {
		l := fresh[i]
		switch d.IntN(60) {
		case 0, 1:
			continue
		case 2:
			l = listOf(k, now-1, now+pick[int64](d, 0, 1))
		case 3:
			l = listOf(k, now+pick[int64](d, 0, 1), now+9)
		case 4:
			revoked := some(d, 1, ids...)
			slices.SortFunc(revoked, cid.Hash.Compare)
			l = listOf(k, 0, now+pick[int64](d, -5, 1<<40), slices.Compact(revoked)...)
		}
		opened[k.Agent().Key], b.Lists[k.Agent().Key] = l.opened, l.plain
	}
	a.Revocations = func(x sig.AgentID) *caps.RevocationList { return opened[x.Key] }
}

// list is a revocation list as each evaluator wants it.
type list struct {
	opened *caps.RevocationList
	plain  *caps.Revocations
}

// fresh are lists that revoke nothing.
var fresh = func() (out [len(keys)]list) {
	for i, k := range keys {
		out[i] = listOf(k, 0, 1<<50)
	}
	return out
}()

func listOf(by sig.Key, issued, next int64, revoked ...cid.Hash) list {
	x := caps.Revocations{Seq: 1, Issued: issued, NextUpdate: next, Revoked: revoked}
	raw, id, err := caps.SignRevocations(x, by)
	if err != nil {
		panic(err) // the lists that are drawn keep their rules
	}
	plain := &caps.Revocations{}
	if _, err := sig.Decode(raw, plain); err != nil {
		panic(err)
	}
	remember(plain.Issuer.Key[:], id[:], plain.Signature.SigBytes[:])
	l, err := caps.OpenRevocations(raw)
	if err != nil {
		panic(err)
	}
	return list{l, plain}
}
