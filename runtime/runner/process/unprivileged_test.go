//go:build linux

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user that the tests become.
const nobody = 65534

// TestUnprivileged runs what depends on privileges again as an ordinary user.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("the tests run as an ordinary user already")
		return
	}
	host(t)
	dir, err := os.MkdirTemp("/tmp", "mythos-process-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	built, err := shared.guest()
	if err != nil {
		t.Fatal(err)
	}
	binary, native := filepath.Join(dir, "process.test"), filepath.Join(dir, "guest")
	for from, to := range map[string]string{"/proc/self/exe": binary, built: native} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"", "tmp"} {
		path := filepath.Join(dir, sub)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.v",
		"-test.run", "^(TestNative|TestSurroundings|TestLevels|TestReadGrant|TestWriteGrant|TestWriteGrantStops|TestSecrets|TestNetGrant|TestDamagedTree|TestWorkerServesMany|TestParked|TestNothingStays)$")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp"), "CI=" + os.Getenv("CI"), guestEnv + "=" + native}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "SKIP") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}
