package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// What a source does not have is no verdict about a definition.
func TestDatasetSources(t *testing.T) {
	missing := cid.Sum([]byte("corpus"))
	raw, _, err := dataset.Seal(dataset.Def{
		CorpusRoots: []cid.Hash{missing},
		Query:       dataset.Query{Predicate: ir.Expr{Op: ir.ExprTrue}},
		Sampling:    dataset.Sampling{Mode: dataset.ModeAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantWrongVector(t, datasetOps(), "dataset.select", fmt.Sprintf(`{"def":"%x","corpora":[],"objects":[]}`, raw))
	wantWrongVector(t, datasetOps(), "dataset.select", fmt.Sprintf(`{"def":"%x","corpora":[["x"]],"objects":[]}`, raw))
	if _, err := tryOp(t, datasetOps(), "dataset.select", fmt.Sprintf(`{"def":"%x00","corpora":[],"objects":[]}`, raw)); err == nil || errors.As(err, new(*inputError)) {
		t.Errorf("a byte behind the definition: %v", err)
	}
}
