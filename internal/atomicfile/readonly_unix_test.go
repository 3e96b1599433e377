//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// childEnv makes the test binary run as an unprivileged user in the directory
// it names: for root, no directory is read-only.
const childEnv = "ATOMICFILE_TEST_READONLY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := writeAsNobody(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func writeAsNobody(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	for name, write := range map[string]func() error{
		"Write":    func() error { return Write("f", []byte("new"), 0o644) },
		"WriteNew": func() error { return WriteNew("g", []byte("new"), 0o644) },
		"MkdirAll": func() error { return MkdirAll("h/i", 0o755) },
		"WriteTree": func() error {
			_, err := WriteTree("t", func(string) error { return nil }, Tree{})
			return err
		},
	} {
		if err := write(); !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s in a read-only directory: %v, want fs.ErrPermission", name, err)
		}
	}
	return nil
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir+"/f", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	wantNames(t, dir, "f")
	wantFile(t, dir+"/f", "old", 0o644)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
