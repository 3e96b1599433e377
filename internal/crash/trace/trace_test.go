package trace_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/internal/crash/trace"
)

// hex writes text as strace -xx does.
func hex(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\x` + string(digits[s[i]>>4]) + string(digits[s[i]&15]))
	}
	return b.String()
}

// TestParse reads each form of line that strace writes.
func TestParse(t *testing.T) {
	db, pipe := hex("/d/db"), hex("pipe:[7]")
	text := strings.Join([]string{
		`11 openat(AT_FDCWD<` + hex("/") + `>, "` + db + `", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 9<` + db + `>`,
		`11 openat(AT_FDCWD<` + hex("/") + `>, "` + db + `", O_RDONLY|O_CLOEXEC) = 9<` + db + `>`,
		`11 pwrite64(9<` + db + `>, "` + hex("abc") + `", 3, 4096 <unfinished ...>`,
		`12 write(1<` + pipe + `>, "` + hex("R x\n") + `", 4) = 4`,
		`11 <... pwrite64 resumed>) = 3`,
		`11 fsync(9<` + db + `> <unfinished ...>`,
		`12 ftruncate(9<` + db + `>, 10) = 0`,
		`11 <... fsync resumed>) = 0`,
		`11 fsync(9<` + db + `>) = 0 (INJECTED)`,
		`11 fdatasync(9<` + db + `>) = -1 EIO (Input/output error)`,
		`12 rename("` + db + `", "` + hex("/d/new") + `") = 0`,
		`12 unlink("` + hex("/d/new") + `") = 0`,
		`12 unlink("` + hex("/d/gone") + `") = -1 ENOENT (No such file or directory)`,
		`12 +++ killed by SIGKILL +++`,
	}, "\n")
	got, err := trace.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []trace.Event{
		{Kind: trace.Create, Path: "/d/db"},
		{Kind: trace.Write, Path: "/d/db", Off: 4096, Data: []byte("abc")},
		{Kind: trace.Said, Path: "pipe:[7]", Data: []byte("R x\n")},
		{Kind: trace.SyncBegin, Path: "/d/db", Call: 1},
		{Kind: trace.Truncate, Path: "/d/db", Off: 10},
		{Kind: trace.SyncEnd, Path: "/d/db", Call: 1},
		{Kind: trace.SyncBegin, Path: "/d/db", Call: 2},
		{Kind: trace.SyncBegin, Path: "/d/db", Call: 3},
		{Kind: trace.Rename, Path: "/d/db", To: "/d/new"},
		{Kind: trace.Remove, Path: "/d/new"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestParseRefuses names what no recording can be rebuilt from.
func TestParseRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"a text that was cut":    `11 pwrite64(9<a>, "` + hex("abc") + `"..., 3, 0) = 3`,
		"a write nowhere":        `11 pwrite64(9<a>, "` + hex("abc") + `", 3) = 3`,
		"an end of nothing":      `11 <... fsync resumed>) = 0`,
		"a truncate to nothing":  `11 ftruncate(9<a>) = 0`,
		"a sync of nothing":      `11 fsync(x) = 0`,
		"a name that is no text": `11 unlink(7) = 0`,
	} {
		if _, err := trace.Parse(strings.NewReader(line)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// played is a disk after calls.
func played(events ...trace.Event) *trace.Disk {
	d := trace.NewDisk("/d")
	for _, e := range events {
		d.Play(e)
	}
	return d
}

func write(off int64, data string) trace.Event {
	return trace.Event{Kind: trace.Write, Path: "/d/f", Off: off, Data: []byte(data)}
}

func sync(path string, call int) (begin, end trace.Event) {
	return trace.Event{Kind: trace.SyncBegin, Path: path, Call: call}, trace.Event{Kind: trace.SyncEnd, Path: path, Call: call}
}

// rebuilt is the folder after a power loss: content by name.
func rebuilt(t *testing.T, d *trace.Disk, loss trace.Loss, seed uint64) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := d.Rebuild(dir, loss, rand.New(rand.NewPCG(seed, 0))); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = string(raw)
	}
	return out
}

// TestWhatSurvives checks what a loss of all that was not synced leaves.
func TestWhatSurvives(t *testing.T) {
	fb, fe := sync("/d/f", 1)
	db, de := sync("/d", 2)
	gb, ge := sync("/d", 3)
	remove := trace.Event{Kind: trace.Remove, Path: "/d/f"}
	rename := trace.Event{Kind: trace.Rename, Path: "/d/f", To: "/d/g"}
	shorter := trace.Event{Kind: trace.Truncate, Path: "/d/f", Off: 1}
	for name, c := range map[string]struct {
		events []trace.Event
		want   map[string]string
	}{
		"nothing synced":           {[]trace.Event{write(0, "abc")}, map[string]string{}},
		"bytes without a name":     {[]trace.Event{write(0, "abc"), fb, fe}, map[string]string{}},
		"a name without bytes":     {[]trace.Event{write(0, "abc"), db, de}, map[string]string{"f": ""}},
		"both":                     {[]trace.Event{write(0, "abc"), fb, fe, db, de}, map[string]string{"f": "abc"}},
		"a sync that did not end":  {[]trace.Event{write(0, "abc"), db, de, fb}, map[string]string{"f": ""}},
		"a write during the sync":  {[]trace.Event{write(0, "abc"), db, de, fb, write(1, "XY"), fe}, map[string]string{"f": "abc"}},
		"a gap is zeros":           {[]trace.Event{write(2, "c"), fb, fe, db, de}, map[string]string{"f": "\x00\x00c"}},
		"shorter":                  {[]trace.Event{write(0, "abc"), shorter, fb, fe, db, de}, map[string]string{"f": "a"}},
		"shorter, not synced":      {[]trace.Event{write(0, "abc"), fb, fe, db, de, shorter}, map[string]string{"f": "abc"}},
		"removed":                  {[]trace.Event{write(0, "abc"), fb, fe, db, de, remove, gb, ge}, map[string]string{}},
		"removed, not synced":      {[]trace.Event{write(0, "abc"), fb, fe, db, de, remove}, map[string]string{"f": "abc"}},
		"renamed":                  {[]trace.Event{write(0, "abc"), fb, fe, db, de, rename, gb, ge}, map[string]string{"g": "abc"}},
		"renamed, not synced":      {[]trace.Event{write(0, "abc"), fb, fe, db, de, rename}, map[string]string{"f": "abc"}},
		"a file of another folder": {[]trace.Event{{Kind: trace.Write, Path: "/e/f", Data: []byte("x")}, db, de}, map[string]string{}},
	} {
		if diff := cmp.Diff(c.want, rebuilt(t, played(c.events...), trace.All, 1)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAnyPartSurvives checks that of what was not synced every part may survive:
// a later write without an earlier one, and with Torn one sector of a write.
func TestAnyPartSurvives(t *testing.T) {
	fb, fe := sync("/d/f", 1)
	db, de := sync("/d", 2)
	zeros, ones := strings.Repeat("0", 1024), strings.Repeat("1", 1024)
	base := []trace.Event{write(0, zeros), fb, fe, db, de}
	two := played(append(base, write(0, "A"), write(512, "B"))...)
	torn := played(append(base, write(0, ones))...)
	seen, tears := map[string]bool{}, map[string]bool{}
	for seed := range uint64(64) {
		got := rebuilt(t, two, trace.Some, seed)["f"]
		seen[got[:1]+got[512:513]] = true
		got = rebuilt(t, torn, trace.Torn, seed)["f"]
		if got[:512] != zeros[:512] && got[:512] != ones[:512] {
			t.Fatal("a sector is in two")
		}
		tears[got[:1]+got[1023:]] = true
	}
	for _, s := range []string{"00", "A0", "0B", "AB"} {
		if !seen[s] {
			t.Errorf("%s never survives", s)
		}
	}
	for _, s := range []string{"00", "10", "01", "11"} {
		if !tears[s] {
			t.Errorf("sectors %s never survive", s)
		}
	}
}

// FuzzParse checks that what strace wrote, whatever it is, is read or refused.
func FuzzParse(f *testing.F) {
	f.Add(`11 pwrite64(9<a>, "` + hex("abc") + `", 3, 0) = 3`)
	f.Add("11 fsync(9<a> <unfinished ...>\n11 <... fsync resumed>) = 0")
	f.Add(`11 openat(AT_FDCWD</>, "` + hex("a") + `", O_CREAT) = 3</a>`)
	f.Fuzz(func(t *testing.T, text string) {
		events, err := trace.Parse(strings.NewReader(text))
		if err != nil && events != nil {
			t.Error("events beside an error")
		}
	})
}
