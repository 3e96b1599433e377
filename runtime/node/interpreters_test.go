//go:build linux

package node_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestInterpretersAreRemembered: the second look finds the same without asking, and
// a file that somebody else has written is not believed.
func TestInterpretersAreRemembered(t *testing.T) {
	home := t.TempDir()
	first, err := at(t, home).Interpreters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 {
		t.Log("NOT TESTED: neither node nor python3 is here")
		if os.Getenv("CI") == "true" {
			t.Fail()
		}
		return
	}
	path := filepath.Join(home, "cache", "interpreters.json")
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := at(t, home).Interpreters(t.Context())
	if err != nil || len(again) != len(first) || again[0].SHA256 != first[0].SHA256 || len(again[0].Needs) != len(first[0].Needs) {
		t.Errorf("%+v, %v; want %+v", again, err, first)
	}
	forged := bytes.Replace(saved, []byte(first[0].Version), []byte("99.9.9"), 1)
	if bytes.Equal(forged, saved) {
		t.Fatalf("the file does not name version %s", first[0].Version)
	}
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	honest, err := at(t, home).Interpreters(t.Context())
	if err != nil || honest[0].Version != first[0].Version {
		t.Errorf("a forged file: %+v, %v", honest, err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, saved) {
		t.Errorf("the file was not written anew: %v", err)
	}
}
