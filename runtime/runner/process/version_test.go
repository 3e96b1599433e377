package process

import "testing"

func TestMeets(t *testing.T) {
	for _, c := range []struct {
		version, constraint string
		want                bool
	}{
		{"20.11.1", "", true},
		{"20.11.1", ">=20", true},
		{"20.11.1", ">=20 <25", true},
		{"25.0.0", ">=20 <25", false},
		{"20.11.1", "=20", true},
		{"20.11.1", "=20.11", true},
		{"20.11.1", "=20.12", false},
		{"20.11.1", "<=20", true},
		{"20.11.1", ">20", false},
		{"21.0.0", ">20", true},
		{"3.9.2", ">=3.10 <4", false},
		{"3.10.0", ">=3.10 <4", true},
		{"3.10", "=3.10.0", true},
		{"3.10", ">3.10.0", false},
		{"20.11.1", ">=20  <25", false}, // fail closed on what is no constraint
		{"20.11.1", "==20", false},
		{"20.11.1", "20", false},
		{"20.11.1", ">=", false},
		{"20.11.1", ">=1.2.3.4", false},
		{"20.11.1", ">=9999999999", false},
		{"nightly", ">=1", false},
		{"", ">=0", false},
	} {
		if got := meets(c.version, c.constraint); got != c.want {
			t.Errorf("meets(%q, %q) = %v", c.version, c.constraint, got)
		}
	}
}

func TestReadVersion(t *testing.T) {
	for said, want := range map[string]string{
		"v20.20.2\n":                  "20.20.2",
		"Python 3.11.7\n":             "3.11.7",
		"Python 3.13.0rc1+ (heads)\n": "3.13.0",
		"v22.0.0-nightly2024":         "22.0.0",
		"hello 7 world":               "",
		"1.2.3.4":                     "",
		"":                            "",
	} {
		if got := readVersion(said); got != want {
			t.Errorf("readVersion(%q) = %q, want %q", said, got, want)
		}
	}
}

// FuzzMeets: no text makes the parser panic, and a version always meets itself.
func FuzzMeets(f *testing.F) {
	f.Add("20.11.1", ">=20 <25")
	f.Fuzz(func(t *testing.T, version, constraint string) {
		_ = meets(version, constraint)
		if _, ok := parseNumber(version); ok && !meets(version, "="+version) {
			t.Errorf("%q does not meet itself", version)
		}
	})
}
