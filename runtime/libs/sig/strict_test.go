package sig

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vectors reads one of the published files of edge cases, which the repository
// does not hold: without them this is a loud skip, and a failure in CI.
func vectors(t *testing.T, file string, into any) {
	t.Helper()
	dir := os.Getenv("MYTHOS_ED25519_VECTORS")
	if dir == "" {
		const missing = "MYTHOS_ED25519_VECTORS is not set: the Ed25519 edge cases are NOT checked. Set it to the folder with cctv.json and speccheck.json."
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCCTV: of the 914 vectors exactly the 43 without an edge that the strict
// profile excludes are accepted.
func TestCCTV(t *testing.T) {
	var list []struct {
		Number        int
		Key, Sig, Msg string
		Flags         []string
	}
	vectors(t, "cctv.json", &list)
	accepted := 0
	for _, v := range list {
		ok := VerifyStrict(fromHex(t, v.Key), []byte(v.Msg), fromHex(t, v.Sig))
		if ok {
			accepted++
		}
		for _, excluded := range []string{"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"} {
			if ok && slices.Contains(v.Flags, excluded) {
				t.Errorf("vector %d is accepted in spite of %s", v.Number, excluded)
			}
		}
	}
	if len(list) != 914 || accepted != 43 {
		t.Errorf("accepted %d of %d, want 43 of 914", accepted, len(list))
	}
}

// TestSpecCheck: of the 12 vectors exactly number 3 is accepted.
func TestSpecCheck(t *testing.T) {
	var list []struct {
		Message   string
		PubKey    string `json:"pub_key"`
		Signature string
	}
	vectors(t, "speccheck.json", &list)
	if len(list) != 12 {
		t.Fatalf("%d vectors, want 12", len(list))
	}
	for i, v := range list {
		if got := VerifyStrict(fromHex(t, v.PubKey), fromHex(t, v.Message), fromHex(t, v.Signature)); got != (i == 3) {
			t.Errorf("vector %d: accepted %t", i, got)
		}
	}
}

// lowOrderPoints is the list of RFC-MYTHOS-0001 §4.1.
const lowOrderPoints = `
0000000000000000000000000000000000000000000000000000000000000000
0000000000000000000000000000000000000000000000000000000000000080
0100000000000000000000000000000000000000000000000000000000000000
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05
26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa`

func TestPoints(t *testing.T) {
	for _, s := range strings.Fields(lowOrderPoints) {
		if p := [32]byte(fromHex(t, s)); canonicalPoint(p) {
			t.Errorf("the low-order point %s is accepted", s)
		}
	}
	ff := strings.Repeat("ff", 30)
	for s, want := range map[string]bool{
		"ed" + ff + "7f":                       false, // p
		"ee" + ff + "7f":                       false, // p + 1
		"ff" + ff + "7f":                       false, // 2^255 - 1
		"ff" + ff + "ff":                       false,
		"ed" + ff + "ff":                       false,
		"ec" + ff + "ff":                       false, // -1 with the sign bit: x is 0
		"01" + strings.Repeat("00", 30) + "80": false, // 1 with the sign bit
		"eb" + ff + "7f":                       true,  // p - 2
		"eb" + ff + "ff":                       true,
		"ed" + ff + "7e":                       true, // far below p
		"02" + strings.Repeat("00", 31):        true,
	} {
		if got := canonicalPoint([32]byte(fromHex(t, s))); got != want {
			t.Errorf("%s: canonical %t, want %t", s, got, want)
		}
	}
}

func TestStrictLengths(t *testing.T) {
	secret := ed25519.NewKeyFromSeed(make([]byte, 32))
	pub, msg := secret.Public().(ed25519.PublicKey), []byte("m")
	s := ed25519.Sign(secret, msg)
	if !VerifyStrict(pub, msg, s) {
		t.Fatal("a good signature is refused")
	}
	for name, ok := range map[string]bool{
		"no key":          VerifyStrict(nil, msg, s),
		"short key":       VerifyStrict(pub[:31], msg, s),
		"long key":        VerifyStrict(append(slices.Clone(pub), 0), msg, s),
		"no signature":    VerifyStrict(pub, msg, nil),
		"short signature": VerifyStrict(pub, msg, s[:63]),
		"long signature":  VerifyStrict(pub, msg, append(slices.Clone(s), 0)),
		"another message": VerifyStrict(pub, nil, s),
	} {
		if ok {
			t.Errorf("%s is accepted", name)
		}
	}
}

// FuzzVerifyStrict: the strict profile only ever takes away from what the
// standard library accepts.
func FuzzVerifyStrict(f *testing.F) {
	secret := ed25519.NewKeyFromSeed(make([]byte, 32))
	f.Add([]byte(secret.Public().(ed25519.PublicKey)), []byte("m"), ed25519.Sign(secret, []byte("m")))
	f.Add(make([]byte, 32), []byte("m"), make([]byte, 64))
	f.Fuzz(func(t *testing.T, pub, msg, s []byte) {
		if VerifyStrict(pub, msg, s) && !ed25519.Verify(pub, msg, s) {
			t.Fatal("accepted what the standard library refuses")
		}
	})
}
