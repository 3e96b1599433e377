package tlog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	xlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	logKey  = sig.NewKey([32]byte{1}, "log")
	witness = sig.NewKey([32]byte{2}, "witness")
)

func agents(keys ...sig.Key) (out []sig.AgentID) {
	for _, k := range keys {
		out = append(out, k.Agent())
	}
	return out
}

func witnessKey(name string) Key {
	return Key{Name: name, Type: TypeCosignature, Public: witness.Agent().Key}
}

// cosign adds a witness's line to a checkpoint.
func cosign(t testing.TB, raw []byte, name string, seconds int64) []byte {
	t.Helper()
	n, err := ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	s, err := witness.SignText(cosigned(n.Text, seconds))
	if err != nil {
		t.Fatal(err)
	}
	n.Signatures = append(n.Signatures, Signature{name, witnessKey(name).ID(), append(binary.BigEndian.AppendUint64(nil, uint64(seconds)), s[:]...)})
	return n.Append(nil)
}

func sample(t testing.TB) []byte {
	t.Helper()
	raw, err := Sign(Checkpoint{Origin: "mythos.run/ledger/x", Size: 42, Root: cid.Sum(nil)}, logKey)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// specExample is the example of C2SP tlog-cosignature: another implementation's
// bytes.
const specExample = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" +
	"\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n" +
	"\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"

func TestSpecExample(t *testing.T) {
	c, n, err := Parse([]byte(specExample))
	if err != nil || string(n.Append(nil)) != specExample || c.Text() != n.Text {
		t.Fatal(err)
	}
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || len(n.Signatures) != 2 || n.Signatures[1].KeyID != 0x8d66cf3f {
		t.Errorf("%+v, %+v", c, n)
	}
	if when := binary.BigEndian.Uint64(n.Signatures[1].Bytes); when != 1679315147 {
		t.Errorf("time %d", when)
	}
	_, err = Open([]byte(specExample), agents(logKey), nil)
	if !errors.Is(err, ErrSigner) {
		t.Error(err)
	}
}

// TestAgainstSecondNote opens our checkpoints with golang.org/x/mod and signs its
// notes for us.
func TestAgainstSecondNote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Checkpoint{
			Origin: rapid.StringMatching(`[a-z./0-9é-]{1,40}`).Draw(t, "origin"),
			Size:   rapid.Uint64Range(0, MaxSize).Draw(t, "size"),
			Root:   cid.Sum(rapid.SliceOf(rapid.Byte()).Draw(t, "root")),
		}
		raw, err := Sign(c, logKey)
		if err != nil {
			t.Fatal(err)
		}
		key := LogKey(c.Origin, logKey.Agent())
		verifier, err := note.NewVerifier(key.String())
		if err != nil || verifier.KeyHash() != key.ID() {
			t.Fatalf("%s: %v", key, err)
		}
		opened, err := note.Open(raw, note.VerifierList(verifier))
		if err != nil || opened.Text != c.Text() || len(opened.Sigs) != 1 {
			t.Fatal(err)
		}
		if back, err := ParseKey(key.String()); err != nil || back != key {
			t.Fatal(err)
		}
		seed := make([]byte, 33)
		seed[0], seed[1] = TypeEd25519, 1
		signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", c.Origin, key.ID(), base64.StdEncoding.EncodeToString(seed)))
		if err != nil {
			t.Fatal(err)
		}
		again, err := note.Sign(&note.Note{Text: c.Text()}, signer)
		if err != nil || string(again) != string(raw) {
			t.Fatalf("%q, %v, want %q", again, err, raw)
		}
		v, err := Open(again, agents(witness, logKey), nil)
		if err != nil || v.Size != c.Size || v.Root != c.Root || v.By != key {
			t.Fatal(err)
		}
	})
}

// TestAgainstSecondTreeText reads the checkpoints of the Go checksum database,
// whose text x/mod writes.
func TestAgainstSecondTreeText(t *testing.T) {
	root := cid.Sum([]byte("root"))
	text := string(xlog.FormatTree(xlog.Tree{N: 7, Hash: xlog.Hash(root)}))
	c, err := ParseCheckpoint(text)
	if err != nil || c.Origin != "go.sum database tree" || c.Size != 7 || c.Root != root || c.Text() != text {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestOpen(t *testing.T) {
	raw := sample(t)
	name := "witness.example/w"
	both := cosign(t, raw, name, 1_700_000_000)
	v, err := Open(both, agents(logKey), []Key{witnessKey(name)})
	if err != nil || len(v.Witnesses) != 1 || v.Witnesses[0].Seconds != 1_700_000_000 || v.Size != 42 {
		t.Fatalf("%+v, %v", v, err)
	}
	twice := cosign(t, both, name, 1_700_000_001)
	if v, err := Open(twice, agents(logKey), []Key{witnessKey(name)}); err != nil || len(v.Witnesses) != 1 {
		t.Errorf("a witness that signs twice counts %d times, %v", len(v.Witnesses), err)
	}
	if v, err := Open(both, agents(logKey), nil); err != nil || len(v.Witnesses) != 0 {
		t.Errorf("an unknown witness: %+v, %v", v, err)
	}
	_, err = Open(both, nil, []Key{witnessKey(name)})
	wantCode(t, err, ErrSigner) // a witness is no log
	flip := func(b []byte, from string) []byte {
		n, err := ParseNote(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range n.Signatures {
			if s.Name == from {
				s.Bytes[len(s.Bytes)-1] ^= 1
			}
		}
		return n.Append(nil)
	}
	_, err = Open(flip(both, name), agents(logKey), []Key{witnessKey(name)})
	wantCode(t, err, ErrSignature)
	_, err = Open(flip(both, "mythos.run/ledger/x"), agents(logKey), []Key{witnessKey(name)})
	wantCode(t, err, ErrSignature)
	_, err = Open([]byte(strings.Replace(string(raw), "\n42\n", "\n43\n", 1)), agents(logKey), nil)
	wantCode(t, err, ErrSignature)
	_, err = Open([]byte(strings.Replace(string(raw), "ledger/x\n42", "ledger/y\n42", 1)), agents(logKey), nil)
	wantCode(t, err, ErrSigner) // the name of the signature is not the origin
}

// TestWitnessTime checks that a time which is not signed, or out of bounds, does
// not verify.
func TestWitnessTime(t *testing.T) {
	const name = "w"
	n, err := ParseNote(cosign(t, sample(t), name, 5))
	if err != nil {
		t.Fatal(err)
	}
	s := n.Signatures[1].Bytes
	for _, when := range []uint64{4, 1 << 63} {
		binary.BigEndian.PutUint64(s, when)
		_, err := Open(n.Append(nil), agents(logKey), []Key{witnessKey(name)})
		wantCode(t, err, ErrSignature)
	}
	n.Signatures[1].Bytes = s[:71]
	_, err = Open(n.Append(nil), agents(logKey), []Key{witnessKey(name)})
	wantCode(t, err, ErrSignature)
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestRefusesNotes(t *testing.T) {
	good := string(sample(t))
	change := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	line := good[strings.Index(good, "\u2014"):]
	for name, text := range map[string]string{
		"empty":               "",
		"no signature":        good[:strings.Index(good, "\u2014")],
		"no empty line":       change("\n\n", "\n"),
		"two lines":           change("\n42", ""),
		"leading zero":        change("42", "042"),
		"plus":                change("42", "+42"),
		"negative":            change("42", "-42"),
		"hex":                 change("42", "0x2a"),
		"size over 2^63-1":    change("42", "9223372036854775808"),
		"spaces":              change("42", " 42"),
		"empty origin":        change("mythos.run/ledger/x\n42", "\n42"),
		"long origin":         change("mythos.run/ledger/x\n42", strings.Repeat("o", 256)+"\n42"),
		"root of 31 bytes":    change("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", base64.StdEncoding.EncodeToString(make([]byte, 31))),
		"loose base64":        change("hSuFU=", "hSuFV="),
		"URL base64":          change("+/TImW", "-_TImW"),
		"CRLF":                strings.ReplaceAll(good, "\n", "\r\n"),
		"control":             change("ledger/x", "ledger/\x01"),
		"not UTF-8":           change("ledger/x", "ledger/\xff"),
		"no last newline":     strings.TrimSuffix(good, "\n"),
		"hyphen for dash":     change("\u2014", "-"),
		"no name":             change("\u2014 mythos.run/ledger/x", "\u2014 "),
		"plus in name":        change("\u2014 mythos.run/ledger/x", "\u2014 a+b"),
		"short signature":     change(line, "\u2014 a AAAAAA==\n"),
		"signature spaces":    change(line, "\u2014 a  AAAAAAA=\n"),
		"text after":          good + "more\n",
		"too many signatures": good + strings.Repeat(line, MaxSignatures),
		"too large":           change("\n\n", "\n"+strings.Repeat("x", MaxNote)+"\n\n"),
		"empty extension":     change("\n\n", "\n\n\n"),
	} {
		if _, _, err := Parse([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, _, err := Parse([]byte(change("\n\n", "\nmore\nlines\n\n"))); err != nil || len(c.Extensions) != 2 {
		t.Errorf("extension lines: %+v, %v", c, err)
	}
}

func TestRefusesToSign(t *testing.T) {
	for name, c := range map[string]Checkpoint{
		"newline in origin": {Origin: "a\n5\nb"},
		"space in origin":   {Origin: "a b"},
		"no origin":         {},
		"not UTF-8":         {Origin: "\xff"},
		"size":              {Origin: "a", Size: 1 << 63},
		"empty extension":   {Origin: "a", Extensions: []string{""}},
	} {
		if raw, err := Sign(c, logKey); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
	if _, err := Sign(Checkpoint{Origin: "a"}, sig.Key{}); err == nil {
		t.Error("the empty key signs")
	}
	if _, err := logKey.SignText(make([]byte, 32)); err == nil {
		t.Error("a text that may be an id was signed")
	}
}

func TestRefusesKeys(t *testing.T) {
	good := LogKey("a", logKey.Agent()).String()
	other := LogKey("b", logKey.Agent()).String()
	for _, text := range []string{
		"", "a", "a+1", "+" + good, strings.Replace(good, "a+", "b+", 1), strings.ToUpper(good),
		good[:len(good)-4], good + "AAAA", "a" + strings.TrimPrefix(other, "b"), strings.Replace(good, "+A", "+C", 1),
	} {
		if k, err := ParseKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v, %v", text, k, err)
		}
	}
}

// FuzzNote: what is read is what is written, and x/mod reads it alike.
func FuzzNote(f *testing.F) {
	f.Add(sample(f))
	f.Add(cosign(f, sample(f), "w", 7))
	f.Add([]byte(specExample))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, n, err := Parse(raw)
		if err != nil {
			return
		}
		if string(n.Append(nil)) != string(raw) || c.Text() != n.Text {
			t.Fatalf("%q was read as %+v", raw, n)
		}
		// Without known keys x/mod says who signed, and nothing against the form.
		var unknown *note.UnverifiedNoteError
		if _, err := note.Open(raw, note.VerifierList()); !errors.As(err, &unknown) || unknown.Note.Text != n.Text {
			t.Fatalf("x/mod: %v", err)
		}
	})
}

// FuzzKey: a verifier key that is accepted is exactly what would be written.
func FuzzKey(f *testing.F) {
	f.Add(LogKey("a", logKey.Agent()).String())
	f.Add(witnessKey("w").String())
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err == nil && k.String() != text {
			t.Fatalf("%q", text)
		}
	})
}
