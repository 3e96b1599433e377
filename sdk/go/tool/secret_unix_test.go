//go:build unix

package tool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestSecret(t *testing.T) {
	for name, want := range map[string][]byte{"api-key.1": []byte("s3cret"), "long": bytes.Repeat([]byte("x"), 10000), "none": nil} {
		f, err := os.Create(filepath.Join(t.TempDir(), "secret"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(want); err != nil {
			t.Fatal(err)
		}
		t.Setenv("MYTHOS_SECRET_"+secretVariable(name)+"_FD", strconv.Itoa(int(f.Fd())))
		for range 2 { // a worker asks in every call
			if got, err := Secret(name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %d bytes, %v", name, len(got), err)
			}
		}
	}
	if got := secretVariable("api-key.1"); got != "API_KEY_1" {
		t.Errorf("the variable is %s", got)
	}
	if _, err := Secret("other"); !errors.Is(err, ErrDenied) {
		t.Errorf("a secret that is not granted: %v", err)
	}
	t.Setenv("MYTHOS_SECRET_BAD_FD", "x")
	if _, err := Secret("bad"); err == nil {
		t.Error("x is a descriptor")
	}
	large, err := os.Create(filepath.Join(t.TempDir(), "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	if err := large.Truncate(maxSecret + 1); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MYTHOS_SECRET_LARGE_FD", strconv.Itoa(int(large.Fd())))
	if _, err := Secret("large"); err == nil {
		t.Error("a secret over 1 MiB was read")
	}
}
