package caps

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// revocations returns a list of a key that is fresh at noon.
func revocations(seq uint64, ids ...cid.Hash) Revocations {
	slices.SortFunc(ids, cid.Hash.Compare)
	return Revocations{Seq: seq, Issued: opens, NextUpdate: closes, Revoked: ids}
}

func opened(t tb, x Revocations, by sig.Signer) *RevocationList {
	t.Helper()
	raw, _, err := SignRevocations(x, by)
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenRevocations(raw)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// known returns the lists as Use wants them.
func known(lists ...*RevocationList) func(sig.AgentID) *RevocationList {
	return func(a sig.AgentID) *RevocationList {
		for _, l := range lists {
			if l.Issuer().Equal(a) {
				return l
			}
		}
		return nil
	}
}

func TestRevocationListRoundTrip(t *testing.T) {
	x := revocations(7, hashOf("a"), hashOf("b"))
	raw, id, err := SignRevocations(x, holder())
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenRevocations(raw)
	if err != nil {
		t.Fatal(err)
	}
	want, err := cid.Without(raw, 1, 8)
	if err != nil || id != want || l.Mark() != (Mark{7, want}) || !l.Issuer().Equal(holder().Agent()) {
		t.Errorf("got %+v of %s, want %s; %v", l.Mark(), l.Issuer().KeyID(), want, err)
	}
	if !l.Names(hashOf("a")) || !l.Names(hashOf("b")) || l.Names(hashOf("c")) {
		t.Error("the list names other ids")
	}
	for now, fresh := range map[int64]bool{opens - 1: false, opens: true, closes - 1: true, closes: false} {
		if l.Fresh(now) != fresh {
			t.Errorf("fresh at %d: %t", now, !fresh)
		}
	}
	if _, err := OpenRevocations(append(raw, 0)); fault.CodeOf(err) != can.ErrTrailing {
		t.Errorf("bytes behind: %v", err)
	}
	if _, _, err := SignRevocations(x, sig.Key{}); err == nil {
		t.Error("an empty key signs")
	}
}

func TestRevocationListRefused(t *testing.T) {
	forged := func(x Revocations) []byte {
		raw, _, err := sig.Sign(&x, holder())
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		edit func(*Revocations)
		code fault.Code
	}{
		"sound":         {func(*Revocations) {}, ""},
		"empty":         {func(x *Revocations) { x.Revoked = nil }, ""},
		"never issued":  {func(x *Revocations) { x.NextUpdate = x.Issued }, ErrRevocationList},
		"backwards":     {func(x *Revocations) { x.NextUpdate = x.Issued - 1 }, ErrRevocationList},
		"descending":    {func(x *Revocations) { slices.Reverse(x.Revoked) }, ErrRevocationList},
		"an id twice":   {func(x *Revocations) { x.Revoked[1] = x.Revoked[0] }, ErrRevocationList},
		"too many ids":  {func(x *Revocations) { x.Revoked = make([]cid.Hash, MaxRevoked+1) }, ErrRevocationList},
		"too many byte": {func(x *Revocations) { x.Revoked = make([]cid.Hash, MaxRevocationList/42) }, ErrRevocationList},
	} {
		t.Run(name, func(t *testing.T) {
			x := revocations(1, hashOf("a"), hashOf("b"))
			c.edit(&x)
			_, _, err := SignRevocations(x, holder())
			wantCode(t, err, c.code)
			_, err = OpenRevocations(forged(x))
			wantCode(t, err, c.code)
		})
	}
	raw := forged(revocations(1, hashOf("a")))
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, err := OpenRevocations(bad); err == nil {
			t.Errorf("bit %d of byte %d flipped, and the list is accepted", i%8, i)
		}
	}
	raw[len(raw)-1] ^= 1
	_, err := OpenRevocations(raw)
	wantCode(t, err, sig.ErrInvalid)
}

func TestRevocationSeq(t *testing.T) {
	l := opened(t, revocations(7), holder())
	other := opened(t, revocations(7, hashOf("a")), holder())
	for name, c := range map[string]struct {
		last *Mark
		code fault.Code
	}{
		"first":            {nil, ""},
		"higher":           {&Mark{6, hashOf("x")}, ""},
		"the same again":   {ptr(l.Mark()), ""},
		"another with it":  {ptr(other.Mark()), ErrRevocationSeq},
		"lower":            {&Mark{8, hashOf("x")}, ErrRevocationSeq},
		"lower, same id":   {&Mark{8, l.Mark().ID}, ErrRevocationSeq},
		"highest possible": {&Mark{1<<64 - 1, hashOf("x")}, ErrRevocationSeq},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, l.Follows(c.last), c.code) })
	}
	if err := opened(t, revocations(0), holder()).Follows(&Mark{}); !errors.Is(err, ErrRevocationSeq) {
		t.Errorf("seq 0 after another of seq 0: %v", err)
	}
}

// Every link against the list of every key: an issuer may revoke its own link and
// what is below it, and nobody else anything.
func TestWhoMayRevoke(t *testing.T) {
	c := proofOf(t, steps())
	for who, k := range []sig.Key{authority(), holder(), agent(), executor(), stranger()} {
		for link, id := range c.CapIDs() {
			u := use()
			u.Revocations = known(opened(t, revocations(1, id), k))
			_, err := c.Check(u)
			if who <= link {
				wantDenial(t, err, ErrRevoked, link, RuleRevoked)
			} else if err != nil {
				t.Errorf("key %d revokes link %d: %v", who, link, err)
			}
		}
	}
}

func TestRevocationInChains(t *testing.T) {
	root := func(s []*step) { s[0].cap.RevocationRequired = true }
	leaf := func(s []*step) { s[2].cap.RevocationRequired = true }
	stale := revocations(1)
	stale.NextUpdate = noon
	early := revocations(1)
	early.Issued = noon + 1
	edge := revocations(1)
	edge.Issued, edge.NextUpdate = noon, noon+1
	for name, c := range map[string]struct {
		edit  func([]*step)
		lists []*RevocationList
		code  fault.Code
		link  int
	}{
		"none":                       {root, nil, ErrRevocation, 0},
		"fresh":                      {root, []*RevocationList{opened(t, revocations(1), authority())}, "", 0},
		"fresh at its edges":         {root, []*RevocationList{opened(t, edge, authority())}, "", 0},
		"stale":                      {root, []*RevocationList{opened(t, stale, authority())}, ErrRevocation, 0},
		"not issued yet":             {root, []*RevocationList{opened(t, early, authority())}, ErrRevocation, 0},
		"of the subject":             {root, []*RevocationList{opened(t, revocations(1), holder())}, ErrRevocation, 0},
		"of one above is not enough": {leaf, []*RevocationList{opened(t, revocations(1), authority()), opened(t, revocations(1), holder())}, ErrRevocation, 2},
		"of its issuer":              {leaf, []*RevocationList{opened(t, revocations(1), agent())}, "", 0},
		"not demanded":               {func([]*step) {}, []*RevocationList{opened(t, stale, authority())}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			list := steps()
			c.edit(list)
			u := use()
			u.Revocations = known(c.lists...)
			_, err := proofOf(t, list).Check(u)
			if c.code == "" {
				wantCode(t, err, "")
				return
			}
			wantDenial(t, err, c.code, c.link, RuleRevocation)
		})
	}
}

// A revocation does not lapse with its list, a list under another's name does not
// count, and the grant says which lists were looked at.
func TestRevocationEvidence(t *testing.T) {
	c := proofOf(t, steps())
	old := revocations(3, c.LeafID())
	old.NextUpdate = opens + 1
	u := use()
	u.Revocations = known(opened(t, old, holder()))
	_, err := c.Check(u)
	wantDenial(t, err, ErrRevoked, 2, RuleRevoked)

	forAll := opened(t, revocations(3, c.CapIDs()...), stranger())
	u.Revocations = func(sig.AgentID) *RevocationList { return forAll }
	g, err := c.Check(u)
	if err != nil || len(g.Lists) != 0 {
		t.Errorf("a stranger's list counts: %+v, %v", g.Lists, err)
	}

	a, b := opened(t, revocations(3), authority()), opened(t, revocations(9), agent())
	u.Revocations = known(b, a)
	g, err = c.Check(u)
	want := []ListUse{{authority().Agent().KeyID(), a.Mark()}, {agent().Agent().KeyID(), b.Mark()}}
	if diff := cmp.Diff(want, g.Lists); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	list := steps()
	for _, s := range list {
		s.by, s.cap.Subject = authority(), executor().Agent()
	}
	if g, err = proofOf(t, list).Check(u); err != nil || len(g.Lists) != 1 {
		t.Errorf("one issuer's list stands %d times; %v", len(g.Lists), err)
	}
}

// What opens is canonical, sound and verified.
func FuzzOpenRevocations(f *testing.F) {
	for _, ids := range [][]cid.Hash{nil, {hashOf("a")}, {hashOf("a"), hashOf("b")}} {
		raw, _, err := SignRevocations(revocations(1, ids...), holder())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := OpenRevocations(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code in %v", err)
			}
			return
		}
		if !bytes.Equal(l.list.AppendCAN(nil), raw) || !slices.IsSortedFunc(l.list.Revoked, cid.Hash.Compare) {
			t.Fatal("a list with two encodings, or unsorted")
		}
		if err := l.list.Issuer.Verify(l.id, l.list.Signature); err != nil {
			t.Fatal(err)
		}
	})
}
