package image

import (
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

func TestSuite(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		img := withProgram(t, "guest")
		f := runnertest.Fixture{
			New: func(t testing.TB) runner.Runner {
				r, err := New(options(t, on.Path, nil))
				if err != nil {
					t.Fatal(err)
				}
				return r
			},
			Module:      func(_ testing.TB, b runnertest.Behaviour) runner.Module { return img.module("bin/guest", string(b)) },
			MemoryBytes: memory,
			Short:       2 * time.Second,
			OwnMemory:   on.Level == sandbox.LevelNamespaces,
		}
		runnertest.Run(t, f)
		runnertest.Processes(t, f, grace)
	})
}
