package conformance

import (
	"errors"
	"os"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

func TestPackageInputs(t *testing.T) {
	const host = `"host":{"version":"0.2.0","codebooks":[` + someHash + `],"features":[],"ctvps":[]}`
	for _, op := range []string{"manifest.open", "archive.verify"} {
		wantWrongVector(t, packageOps(), op, `{"hex":"00","publishers":[{"keys":["00"],"threshold":1,"names":["**"]}],`+host+`}`)
		wantWrongVector(t, packageOps(), op, `{"hex":"00","publishers":[{"keys":[],"threshold":1,"names":["**"]}],`+host+`}`)
	}
	if _, err := tryOp(t, packageOps(), "path.check", `{"paths":["a","A"]}`); !errors.Is(err, manifest.ErrPathCollision) {
		t.Errorf("two paths that are equal but for case: %v", err)
	}
}

// Verifying an archive leaves nothing behind.
func TestArchiveVerifyCleansUp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := tryOp(t, packageOps(), "archive.verify", `{"hex":"1f8b","publishers":[],"host":{"version":"0.2.0","codebooks":[`+someHash+`],"features":[],"ctvps":[]}}`)
	if !errors.Is(err, archive.ErrNotCanonical) {
		t.Errorf("got %v, want %s", err, archive.ErrNotCanonical)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
