package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// packV02 is the pack that the v0.2 documents were published with.
const packV02 = "mythos-v0.2-conformance"

func vectorsV02() []string {
	return []string{"CAN_001", "CAN_002", "CAN_003", "BLOB_001", "RECEIPT_001", "CODEBOOK_001", "WIRE_001"}
}

// suiteV02 is an id up to its last "_".
func suiteV02(id string) string {
	if i := strings.LastIndexByte(id, '_'); i > 0 {
		return id[:i]
	}
	return id
}

// vector is one entry of an older manifest and, while it runs, its files and checks.
type vector struct {
	ID       string                     `json:"id"`
	Files    map[string]string          `json:"files"`
	Expected map[string]json.RawMessage `json:"expected"`

	root   fs.FS
	data   map[string][]byte // by the names of Files
	held   []string          // the names of Expected that were compared
	checks []Check
}

// run takes the vector through its suite.
func (v *vector) run() Result {
	rule := map[string]func(*vector){
		"CAN_001": (*vector).hash, "CAN_002": (*vector).agent, "CAN_003": (*vector).mapOrder,
		"BLOB_001": (*vector).blob, "RECEIPT_001": (*vector).receipt,
		"CODEBOOK_001": (*vector).codebook, "WIRE_001": (*vector).packet,
	}[v.ID]
	switch {
	case rule == nil:
		v.add("known", false, "this build has no rule for the vector")
	case len(v.Files) == 0:
		v.add("present", false, "the pack does not list it, or lists no files")
	case v.load():
		rule(v)
		for _, name := range slices.Sorted(maps.Keys(v.Expected)) {
			if !slices.Contains(v.held, name) {
				v.add("expected "+name, false, "nothing was compared with it")
			}
		}
	}
	return Result{ID: v.ID, Suite: suiteV02(v.ID), Checks: v.checks}
}

// add records a check and returns ok.
func (v *vector) add(name string, ok bool, note string) bool {
	v.checks = append(v.checks, Check{Name: name, OK: ok, Note: note})
	return ok
}

// succeeds records a check that passes if err is nil.
func (v *vector) succeeds(name string, err error) bool {
	if err != nil {
		return v.add(name, false, err.Error())
	}
	return v.add(name, true, "")
}

// equal records a check that got is want.
func (v *vector) equal(name string, got, want any) bool {
	if got != want {
		return v.add(name, false, fmt.Sprintf("got %v, want %v", got, want))
	}
	return v.add(name, true, "")
}

// sameBytes records a check that got is want.
func (v *vector) sameBytes(name string, got, want []byte) bool {
	if bytes.Equal(got, want) {
		return v.add(name, true, "")
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return v.add(name, false, fmt.Sprintf("%d bytes, want %d; they differ from byte %d on", len(got), len(want), at))
}

// load reads the files and holds each to the digest published beside it. A
// .bin must have one; what has none is covered by the other checks alone.
func (v *vector) load() bool {
	v.data = map[string][]byte{}
	ok := true
	for _, name := range slices.Sorted(maps.Keys(v.Files)) {
		file := v.Files[name]
		b, err := readFile(v.root, file)
		if err != nil {
			ok = v.succeeds("read "+file, err)
			continue
		}
		v.data[name] = b
		digest, err := readFile(v.root, file+".sha256")
		switch {
		case errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(file, ".bin"):
		case err != nil:
			ok = v.succeeds("sha256 of "+file, err)
		default:
			ok = v.equal("sha256 of "+file, cid.Sum(b).Hex(), strings.TrimSpace(string(digest))) && ok
		}
	}
	return ok
}

// file returns a file by its name in the manifest; a missing one fails.
func (v *vector) file(name string) ([]byte, bool) {
	b, ok := v.data[name]
	if !ok {
		v.add("file "+name, false, "the manifest does not list it")
	}
	return b, ok
}

// hexFile returns the text of a .hex file.
func (v *vector) hexFile(name string) string {
	b, _ := v.file(name)
	return strings.TrimSpace(string(b))
}

// parse decodes a JSON file into x, which must name every member.
func (v *vector) parse(name string, x any) bool {
	b, ok := v.file(name)
	if !ok {
		return false
	}
	return v.succeeds("parse "+v.Files[name], strictJSON(b, x))
}

// expect holds got to what the manifest expects under name.
func (v *vector) expect(name string, got any) bool {
	v.held = append(v.held, name)
	text, err := json.Marshal(got)
	if err != nil {
		return v.succeeds("expected "+name, err)
	}
	return v.equal("expected "+name, string(text), string(v.Expected[name]))
}

// canonical checks that raw is one canonical value, and that it comes back to
// the byte from the JSON view.
func (v *vector) canonical(raw []byte) bool {
	view, err := can.AppendJSON(nil, raw)
	if !v.succeeds("strict decode", err) {
		return false
	}
	back, err := can.FromJSON(view)
	return v.succeeds("JSON view", err) && v.sameBytes("re-encode from the JSON view", back, raw)
}

// key returns 32 bytes of a file under keys/.
func (v *vector) key(file string) ([32]byte, bool) {
	var key [32]byte
	b, err := readFile(v.root, file)
	if err != nil {
		return key, v.succeeds("read "+file, err)
	}
	key, ok := unhex32(strings.TrimSpace(string(b)))
	return key, v.add(file+" is 32 bytes in hex", ok, "")
}

// unhex32 decodes 64 lowercase hex digits.
func unhex32(s string) (out [32]byte, ok bool) {
	if len(s) != 64 {
		return out, false
	}
	_, err := hex.Decode(out[:], []byte(s))
	return out, err == nil && hex.EncodeToString(out[:]) == s
}
