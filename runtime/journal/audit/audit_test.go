package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// The sample's log: three runs, each under a checkpoint, and two registers that
// have none. Entry 10 is a commit.
const (
	firstRun, secondRun, thirdRun = 8, 16, 318
	sampleEntries                 = thirdRun + 2
	victim                        = 10
)

func options(dir string, signer tlog.Signer) journal.Options {
	return journal.Options{Dir: dir, Clock: journaltest.NewClock().Now, Signer: signer}
}

func open(t testing.TB, dir string, signer tlog.Signer) *journal.SQLite {
	t.Helper()
	s, err := journal.Open(t.Context(), options(dir, signer))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample copies the sample ledger of that name, which is made once.
func sample(t *testing.T, name string) string {
	t.Helper()
	samples.Lock()
	defer samples.Unlock()
	dir, ok := samples.made[name]
	if !ok {
		dir = filepath.Join(samples.dir, "sample"+name)
		makeSample(t, dir, name)
		samples.made[name] = dir
	}
	return copyOf(t, dir)
}

// small is a sample with the first two runs alone.
const small = "small"

// samples are the ledgers that were made.
var samples = struct {
	sync.Mutex
	dir  string
	made map[string]string
}{made: map[string]string{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		panic(err)
	}
	samples.dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil && code == 0 {
			code = 1
		}
		os.Exit(code)
	}))
}

func makeSample(t *testing.T, dir, name string) {
	t.Helper()
	s := open(t, dir, journaltest.Owner)
	journaltest.SealedRun(t, s, name+"a", 3)
	journaltest.SealedRun(t, s, name+"b", 3)
	if name == small {
		must(t, s.Close())
		return
	}
	journaltest.SealedRun(t, s, name+"c", 150)
	must(t, s.Close())
	s = open(t, dir, nil)
	for i := range 2 {
		raw, _ := journaltest.NewEffect(t, fmt.Sprint("tail", i), ledger.Pure).Register(ledger.State{}, "request")
		must(t, s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}))
	}
	must(t, s.Close())
}

// copyOf copies a closed ledger.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func connect(t *testing.T, dir string) *sqlite.Conn {
	t.Helper()
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite)
	must(t, err)
	return conn
}

func alter(t *testing.T, dir, sql string) {
	t.Helper()
	conn := connect(t, dir)
	defer conn.Close()
	must(t, sqlitex.ExecuteScript(conn, sql, nil))
}

// verify audits a ledger that nobody writes.
func verify(t *testing.T, dir string, change func(*audit.Options)) audit.Report {
	t.Helper()
	s, err := journal.OpenReadOnly(options(dir, nil))
	must(t, err)
	defer s.Close()
	o := audit.Options{Executors: []sig.AgentID{journaltest.Owner.Agent()}}
	if change != nil {
		change(&o)
	}
	rep, err := audit.Run(t.Context(), s, o)
	must(t, err)
	return rep
}

func hashesOnly(o *audit.Options) { o.HashesOnly = true }

// wantDamage checks that the first damage is this one, by index and, where the
// entry is known, by the entry.
func wantDamage(t *testing.T, rep audit.Report, index uint64, sort audit.Sort) {
	t.Helper()
	d := rep.Damage
	switch {
	case d == nil:
		t.Fatal("no damage was found")
	case d.Index != index || d.To != index+1 || d.Sort != sort:
		t.Errorf("found %s at %d up to %d (%s), want %s at %d", d.Sort, d.Index, d.To, d.What, sort, index)
	case !errors.Is(d.Err(), audit.ErrDamaged) || !strings.Contains(d.Err().Error(), fmt.Sprint(index)):
		t.Errorf("the error does not name it: %v", d.Err())
	case sort == audit.Altered && (d.Entry == nil || d.Entry.Index != index || d.Leaf == nil):
		t.Errorf("neither the entry nor what was logged is told: %+v", d)
	}
}

func TestSoundLog(t *testing.T) {
	dir := sample(t, "")
	for _, change := range []func(*audit.Options){nil, hashesOnly, func(o *audit.Options) { o.From = secondRun }} {
		rep := verify(t, dir, change)
		if rep.Damage != nil || rep.Entries != sampleEntries || rep.Covered != thirdRun || rep.Origin == "" {
			t.Errorf("%+v, %v", rep, rep.Damage)
		}
	}
	if rep := verify(t, dir, nil); rep.Checkpoints != 3 {
		t.Errorf("%d checkpoints", rep.Checkpoints)
	}
	empty := t.TempDir()
	must(t, open(t, empty, journaltest.Owner).Close())
	if rep := verify(t, empty, nil); rep.Damage != nil || rep.Entries != 0 || rep.Root != tlog.Empty() {
		t.Errorf("%+v", rep)
	}
}

const flip = "substr(%[1]s, 1, %[2]d) || x'%[3]s' || substr(%[1]s, %[2]d + 2)"

// TestEveryColumn alters one byte of every column of an entry. What the log does
// not cover, because it is no statement of anybody but a lease, is told apart.
func TestEveryColumn(t *testing.T) {
	dir := sample(t, "")
	update := func(set string) string { return fmt.Sprintf("UPDATE entry SET %s WHERE seq = %d", set, victim+1) }
	middle := func(column string, at int) string {
		return update(column + " = CAST(" + fmt.Sprintf(flip, column, at, "ff") + " AS BLOB)")
	}
	for _, c := range []struct {
		name, sql string
		index     uint64
		sort      audit.Sort
	}{
		{"seq moved away", update("seq = 5000"), victim, audit.Missing},
		{"seq below all", update("seq = -1"), victim, audit.Missing},
		{"kind", update("kind = 1"), victim, audit.Altered},
		{"kind of the same low byte", update("kind = kind + 256"), victim, audit.Altered},
		{"idem", middle("idem", 7), victim, audit.Beside},
		{"idem gone", update("idem = NULL"), victim, audit.Beside},
		{"idem longer", update("idem = CAST(idem || x'00' AS BLOB)"), victim, audit.Beside},
		{"run", middle("run", 31), victim, audit.Beside},
		{"run longer", update("run = CAST(run || x'00' AS BLOB)"), victim, audit.Beside},
		{"time", update("time = time - 1"), victim, audit.Beside},
		{"body, first byte", middle("body", 0), victim, audit.Altered},
		{"body, a field", middle("body", 100), victim, audit.Altered},
		{"body, the signature", "UPDATE entry SET body = CAST(substr(body, 1, length(body) - 1) || x'ff' AS BLOB) WHERE seq = 11", victim, audit.Altered},
		{"body shorter", update("body = CAST(substr(body, 1, length(body) - 1) AS BLOB)"), victim, audit.Altered},
		{"body longer", update("body = CAST(body || x'00' AS BLOB)"), victim, audit.Altered},
		{"body empty", update("body = x''"), victim, audit.Altered},
		{"kept", middle("kept", 50), victim, audit.Beside},
		{"kept longer", update("kept = CAST(kept || x'00' AS BLOB)"), victim, audit.Beside},
		{"kept gone", update("kept = NULL"), victim, audit.Beside},
		{"a receipt's row", "DELETE FROM item WHERE seq = 11 AND receipt", victim, audit.Beside},
		{"an object's row", "DELETE FROM item WHERE seq = 11 AND NOT receipt", victim, audit.Beside},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, dir)
			alter(t, dir, c.sql)
			wantDamage(t, verify(t, dir, nil), c.index, c.sort)
		})
	}
	for _, set := range []string{"wall = wall + 1", "boot = 'x'", "mono = mono + 1"} {
		t.Run(set, func(t *testing.T) {
			dir := copyOf(t, dir)
			alter(t, dir, "UPDATE entry SET "+set+" WHERE seq = 10")
			if rep := verify(t, dir, nil); rep.Damage != nil {
				t.Errorf("a lease is no part of the log: %v", rep.Damage)
			}
		})
	}
}

// TestEveryByte alters every byte of one entry's body in turn.
func TestEveryByte(t *testing.T) {
	dir := sample(t, small)
	conn := connect(t, dir)
	defer conn.Close()
	length, err := sqlitex.ResultInt(conn.Prep("SELECT length(body) FROM entry WHERE seq = 11"))
	must(t, err)
	original := "UPDATE entry SET body = (SELECT body FROM saved) WHERE seq = 11"
	must(t, sqlitex.ExecuteScript(conn, "CREATE TEMP TABLE saved AS SELECT body FROM entry WHERE seq = 11", nil))
	for at := range length {
		byteAt, err := sqlitex.ResultText(conn.Prep(fmt.Sprintf("SELECT hex(substr(body, %d, 1)) FROM saved", at+1)))
		must(t, err)
		with := "00"
		if byteAt == with {
			with = "01"
		}
		must(t, sqlitex.ExecuteScript(conn, "UPDATE entry SET body = CAST("+fmt.Sprintf(flip, "body", at, with)+" AS BLOB) WHERE seq = 11", nil))
		wantDamage(t, verify(t, dir, hashesOnly), victim, audit.Altered)
		must(t, sqlitex.ExecuteScript(conn, original, nil))
	}
	if rep := verify(t, dir, nil); rep.Damage != nil {
		t.Error(rep.Damage)
	}
}

// swap exchanges the entries of two rows.
func swap(a, b int) string {
	return fmt.Sprintf("UPDATE entry SET seq = -7 WHERE seq = %d; UPDATE entry SET seq = %d WHERE seq = %d; UPDATE entry SET seq = %d WHERE seq = -7;", a, a, b, b)
}

const closeGap = "UPDATE entry SET seq = -seq; UPDATE entry SET seq = -seq - 1 WHERE seq < -11; UPDATE entry SET seq = -seq WHERE seq < 0;"

// TestRemovedAndReordered removes, moves and adds entries, also so that no gap
// tells, and finds the first that is not in its place.
func TestRemovedAndReordered(t *testing.T) {
	dir := sample(t, "")
	for _, c := range []struct {
		name, sql string
		index     uint64
		sort      audit.Sort
	}{
		{"first removed", "DELETE FROM entry WHERE seq = 1", 0, audit.Missing},
		{"one removed", "DELETE FROM entry WHERE seq = 11", victim, audit.Missing},
		{"removed, gap closed", "DELETE FROM entry WHERE seq = 11;" + closeGap, victim, audit.Altered},
		{"several removed", "DELETE FROM entry WHERE seq BETWEEN 11 AND 300", victim, audit.Missing},
		{"two swapped", swap(11, 13), victim, audit.Altered},
		{"neighbours swapped", swap(11, 12), victim, audit.Altered},
		{"runs swapped", swap(1, 9), 0, audit.Altered},
		{"one of another place", "DELETE FROM entry WHERE seq = 11; UPDATE entry SET seq = 11 WHERE seq = 200", victim, audit.Altered},
		{"all removed", "DELETE FROM entry", 0, audit.Missing},
		{"tail cut", "DELETE FROM entry WHERE seq > 300", 300, audit.Missing},
		{"tail cut, gap closed", "DELETE FROM entry WHERE seq > 300; DELETE FROM entry WHERE seq = 11;" + closeGap, victim, audit.Altered},
		{"last covered removed", "DELETE FROM entry WHERE seq = 318", 317, audit.Missing},
		{"gap without a checkpoint", "DELETE FROM entry WHERE seq = 319", 318, audit.Missing},
		{"altered without a checkpoint", "UPDATE entry SET body = CAST(substr(body, 1, length(body) - 1) || x'ff' AS BLOB) WHERE seq = 319", 318, audit.Unsound},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, dir)
			alter(t, dir, c.sql)
			wantDamage(t, verify(t, dir, nil), c.index, c.sort)
			if c.sort != audit.Unsound {
				wantDamage(t, verify(t, dir, hashesOnly), c.index, c.sort)
			}
		})
	}
}

// outside opens a checkpoint of a ledger as somebody else keeps it.
func outside(t *testing.T, dir string, size uint64) *tlog.Checkpoint {
	t.Helper()
	s, err := journal.OpenReadOnly(options(dir, nil))
	must(t, err)
	defer s.Close()
	for c, err := range s.Checkpoints(t.Context(), size) {
		must(t, err)
		v, err := tlog.Open(c.Note, []sig.AgentID{journaltest.Owner.Agent()}, nil)
		must(t, err)
		return &v.Checkpoint
	}
	t.Fatalf("no checkpoint of size %d", size)
	return nil
}

const cutAfterSecond = "DELETE FROM entry WHERE seq > 16; DELETE FROM checkpoint WHERE size > 16; DELETE FROM leaf WHERE first >= 16; DELETE FROM node; DELETE FROM item WHERE seq > 16;"

// TestCutTail cuts the log and every sign of what was cut. The ledger alone cannot
// show it; a checkpoint that somebody else kept does, unless it is from before.
func TestCutTail(t *testing.T) {
	dir := sample(t, "")
	third, second := outside(t, dir, thirdRun), outside(t, dir, secondRun)
	cut := copyOf(t, dir)
	alter(t, cut, cutAfterSecond)
	if rep := verify(t, cut, nil); rep.Damage != nil || rep.Entries != secondRun {
		t.Errorf("%+v, %v", rep, rep.Damage)
	}
	wantDamage(t, verify(t, cut, func(o *audit.Options) { o.Outside = third }), secondRun, audit.Missing)
	if rep := verify(t, cut, func(o *audit.Options) { o.Outside = second }); rep.Damage != nil {
		t.Errorf("cutting after the outside checkpoint cannot be seen: %v", rep.Damage)
	}
	if rep := verify(t, dir, func(o *audit.Options) { o.Outside = second }); rep.Damage != nil {
		t.Errorf("a sound log does not lead to its own checkpoint: %v", rep.Damage)
	}
	// And it goes on from there as if nothing had been.
	s := open(t, cut, journaltest.Owner)
	journaltest.SealedRun(t, s, "instead", 155)
	must(t, s.Close())
	if rep := verify(t, cut, nil); rep.Damage != nil {
		t.Errorf("%v", rep.Damage)
	}
	wantRange(t, verify(t, cut, func(o *audit.Options) { o.Outside = third }), 0, thirdRun, audit.Altered)
}

func wantRange(t *testing.T, rep audit.Report, from, to uint64, sort audit.Sort) {
	t.Helper()
	d := rep.Damage
	if d == nil || d.Index != from || d.To != to || d.Sort != sort {
		t.Fatalf("found %+v, want %s from %d to %d", d, sort, from, to)
	}
	if text := d.Err().Error(); !strings.Contains(text, fmt.Sprintf("entries %d to %d", from, to-1)) {
		t.Errorf("the error does not name them: %s", text)
	}
}

// TestOtherLog checks that the checkpoint of another ledger is not mistaken for
// damage.
func TestOtherLog(t *testing.T) {
	s, err := journal.OpenReadOnly(options(sample(t, "one"), nil))
	must(t, err)
	defer s.Close()
	o := audit.Options{Executors: []sig.AgentID{journaltest.Owner.Agent()}, Outside: outside(t, sample(t, "two"), secondRun)}
	if _, err := audit.Run(t.Context(), s, o); !errors.Is(err, audit.ErrOtherLog) {
		t.Errorf("got %v", err)
	}
}

// rehash makes the kept hashes those of the entries as they are now, as somebody
// does who alters entries but has no key.
func rehash(t *testing.T, dir string) {
	t.Helper()
	s, err := journal.OpenReadOnly(options(dir, nil))
	must(t, err)
	var leaves []byte
	sql := ""
	var r tlog.Range
	for rec, err := range s.Entries(t.Context(), 0) {
		must(t, err)
		if rec.Index == thirdRun {
			break
		}
		leaf := ledger.LeafHash(rec.Index, rec.Kind, rec.Body)
		leaves = append(leaves, leaf[:]...)
		r.Grow(leaf, func(level uint8, index uint64, root cid.Hash) {
			if level == logtree.Stride {
				sql += fmt.Sprintf("UPDATE node SET hash = x'%s' WHERE id = %d;", root.Hex(), int64(level)<<56|int64(index))
			}
		})
	}
	must(t, s.Close())
	alter(t, dir, sql+fmt.Sprintf("CREATE TEMP TABLE h AS SELECT x'%x' AS b; UPDATE leaf SET hashes = CAST(substr((SELECT b FROM h), first * 32 + 1, length(hashes)) AS BLOB)", leaves))
}

// TestHiddenChange alters an entry and the kept hashes with it: the checkpoint
// still shows between which two of them it was, and a signature which.
func TestHiddenChange(t *testing.T) {
	dir := sample(t, "")
	alter(t, dir, "UPDATE entry SET body = CAST("+fmt.Sprintf(flip, "body", 100, "ff")+" AS BLOB) WHERE seq = 10")
	rehash(t, dir)
	rep := verify(t, dir, nil)
	wantRange(t, rep, firstRun, secondRun, audit.Altered)
	if rep.Damage.Entry == nil || rep.Damage.Entry.Index != 9 || !strings.Contains(rep.Damage.What, "entry 9 shows it") {
		t.Errorf("the entry that does not open is not named: %s", rep.Damage.What)
	}
	wantRange(t, verify(t, dir, hashesOnly), firstRun, secondRun, audit.Altered)
}

// TestChangedHashes changes what is kept of the tree and no entry.
func TestChangedHashes(t *testing.T) {
	dir := sample(t, "")
	byteOf := func(at int) string {
		return "UPDATE leaf SET hashes = CAST(" + fmt.Sprintf(flip, "hashes", at, "ff") + " AS BLOB) WHERE first = 8"
	}
	for _, c := range []struct {
		name, sql string
		index, to uint64
		sort      audit.Sort
	}{
		{"a leaf", byteOf(2*32 + 5), victim, victim + 1, audit.Hashes},
		{"a piece", "DELETE FROM leaf WHERE first = 8", firstRun, firstRun + 1, audit.Hashes},
		{"a node", "UPDATE node SET hash = zeroblob(32) WHERE id = (SELECT max(id) FROM node)", 0, 256, audit.Hashes},
		{"a node gone", "DELETE FROM node WHERE id = (SELECT min(id) FROM node)", 0, 256, audit.Hashes},
		{"a note", "UPDATE checkpoint SET note = CAST(" + fmt.Sprintf(flip, "note", 40, "30") + " AS BLOB) WHERE size = 16", 16, 17, audit.Checkpoint},
		{"the newest note", "UPDATE checkpoint SET note = CAST(" + fmt.Sprintf(flip, "note", 40, "30") + " AS BLOB) WHERE size = 318", 318, 319, audit.Checkpoint},
		{"a note's size", "UPDATE checkpoint SET size = 15 WHERE size = 16", 15, 16, audit.Checkpoint},
		{"another's note", "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE size = 8) WHERE size = 16", 16, 17, audit.Checkpoint},
		{"no note", "UPDATE checkpoint SET note = x'' WHERE size = 16", 16, 17, audit.Checkpoint},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, dir)
			alter(t, dir, c.sql)
			d := verify(t, dir, nil).Damage
			if d == nil || d.Index != c.index || d.To != c.to || d.Sort != c.sort {
				t.Errorf("found %+v, want %s at %d up to %d", d, c.sort, c.index, c.to)
			}
		})
	}
}

// TestForeignSigner signs a checkpoint anew with a key that nobody here knows.
func TestForeignSigner(t *testing.T) {
	dir := sample(t, "")
	stranger := sig.NewKey([32]byte{9}, "")
	signed := *outside(t, dir, secondRun)
	note, err := tlog.Sign(signed, stranger)
	must(t, err)
	alter(t, dir, fmt.Sprintf("UPDATE checkpoint SET note = x'%x' WHERE size = 16", note))
	d := verify(t, dir, nil).Damage
	if d == nil || d.Index != 16 || d.Sort != audit.UnknownExecutor || !errors.Is(d.Err(), tlog.ErrSigner) || errors.Is(d.Err(), audit.ErrDamaged) {
		t.Errorf("found %+v, want %s at 16", d, audit.UnknownExecutor)
	}
	both := func(o *audit.Options) { o.Executors = append(o.Executors, stranger.Agent()) }
	if rep := verify(t, dir, both); rep.Damage != nil {
		t.Errorf("%v", rep.Damage)
	}
	// What is damaged goes before who signed, wherever it is.
	damaged := copyOf(t, dir)
	alter(t, damaged, "UPDATE checkpoint SET note = x'' WHERE size = 318")
	wantDamage(t, verify(t, damaged, nil), 318, audit.Checkpoint)
	// What a stranger signed must be right all the same.
	signed.Root[0]++
	note, err = tlog.Sign(signed, stranger)
	must(t, err)
	alter(t, dir, fmt.Sprintf("UPDATE checkpoint SET note = x'%x' WHERE size = 16", note))
	wantDamage(t, verify(t, dir, nil), 16, audit.Checkpoint)
}

// TestFrom begins at a checkpoint: what is before it is taken as its hashes say.
func TestFrom(t *testing.T) {
	dir := sample(t, "")
	second := outside(t, dir, secondRun)
	alter(t, dir, "UPDATE entry SET body = x'00' WHERE seq = 11")
	late := func(o *audit.Options) { o.From, o.Outside = secondRun, second }
	if rep := verify(t, dir, late); rep.Damage != nil || rep.Entries != sampleEntries {
		t.Errorf("%+v, %v", rep, rep.Damage)
	}
	alter(t, dir, "UPDATE entry SET body = x'00' WHERE seq = 101")
	wantDamage(t, verify(t, dir, late), 100, audit.Altered)
	other := *second
	other.Root[0] ^= 1
	if d := verify(t, dir, func(o *audit.Options) { o.From, o.Outside = secondRun, &other }).Damage; d == nil || d.To != secondRun {
		t.Errorf("found %+v", d)
	}
	alter(t, dir, "UPDATE leaf SET hashes = zeroblob(length(hashes)) WHERE first = 0")
	if d := verify(t, dir, func(o *audit.Options) { o.From = secondRun }).Damage; d == nil || d.Sort != audit.Hashes {
		t.Errorf("found %+v", d)
	}
	s, err := journal.OpenReadOnly(options(dir, nil))
	must(t, err)
	defer s.Close()
	o := audit.Options{Executors: []sig.AgentID{journaltest.Owner.Agent()}, From: 17}
	if _, err := audit.Run(t.Context(), s, o); !errors.Is(err, tlog.ErrRange) {
		t.Errorf("got %v", err)
	}
}

// TestFoldShowsOrder swaps two entries of one id where no checkpoint is yet.
func TestFoldShowsOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	journaltest.SealedRun(t, s, "a", 2)
	must(t, s.Close())
	alter(t, dir, swap(2, 3))
	rep := verify(t, dir, nil)
	wantDamage(t, rep, 1, audit.Unsound)
}

// TestRingStates: a state of a ring that was put back, and one without a signature
// of its signer.
func TestRingStates(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		what string
	}{
		"sound":      {"", ""},
		"put back":   {"INSERT INTO entry (kind, idem, time, body) SELECT kind, idem, time, body FROM entry WHERE seq = 1", "seq"},
		"not signed": {"INSERT INTO entry (kind, idem, time, body) SELECT kind, idem, time, x'%x' FROM entry WHERE seq = 2", "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, nil)
			var forged []byte
			for seq := range uint64(3) {
				raw, _, err := sig.Sign(journaltest.RingState(1, seq+1, "demo", "a"), journaltest.Owner)
				must(t, err)
				if forged = append(raw[:len(raw)-1:len(raw)-1], raw[len(raw)-1]^1); seq < 2 {
					must(t, s.SetRing(t.Context(), raw))
				}
			}
			x := journaltest.Refusal("cap_missing", "request", cid.Hash{}, 1)
			raw, _, err := sig.Sign(&x, journaltest.Owner)
			must(t, err)
			_, err = s.Refuse(t.Context(), raw, cid.Hash{}, cid.Hash{})
			must(t, err)
			if c.sql != "" {
				must(t, journaltest.Alter(dir, strings.Replace(c.sql, "%x", fmt.Sprintf("%x", forged), 1)))
			}
			rep, err := audit.Run(t.Context(), s, audit.Options{})
			must(t, err)
			must(t, s.Close())
			switch {
			case c.sql == "" && rep.Damage != nil:
				t.Error(rep.Damage.Err())
			case c.sql == "":
			case rep.Damage == nil || rep.Damage.Index != 3 || rep.Damage.Sort != audit.Unsound || !strings.Contains(rep.Damage.What, c.what):
				t.Errorf("the damage is %+v", rep.Damage)
			}
		})
	}
}
