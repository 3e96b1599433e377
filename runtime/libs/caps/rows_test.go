package caps

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rowCase is one row of the table of subset rules: a parent, a child that the row
// accepts because it is narrower (or equal, where nothing narrower is), and one
// that only this row refuses.
type rowCase struct {
	row                   string
	parent, accept, other Power
}

func rowCases() []rowCase {
	a, b, n := hashOf("a"), hashOf("b"), func(n uint64) *uint64 { return &n }
	read := &BlobRead{a, n(4), n(4)}
	write := &BlobWrite{"ns", 10, []string{"x", "y"}}
	train := &TrainRun{a, 5, 50, n(4)}
	spawn := &ComputeSpawn{a, 3, 30, 4}
	cells := &CellWrite{a, 5, []uint32{1, 2}}
	net := &NetConnect{[]string{"*.a.org"}, []uint32{80, 443}, []string{"GET", "PUT"}}
	return []rowCase{
		{"cid", read, read, &BlobRead{b, n(4), n(4)}},
		{"range", read, &BlobRead{a, n(5), n(3)}, &BlobRead{a, n(5), n(4)}},
		{"namespace", write, write, &BlobWrite{"ns/x", 10, []string{"x"}}},
		{"max_size", write, &BlobWrite{"ns", 9, []string{"x", "y"}}, &BlobWrite{"ns", 11, []string{"x"}}},
		{"media_allow", write, &BlobWrite{"ns", 10, []string{"y"}}, &BlobWrite{"ns", 10, []string{"x", "z"}}},
		{"cid", &BlobPin{a, 10}, &BlobPin{a, 10}, &BlobPin{b, 10}},
		{"ttl_us", &BlobPin{a, 10}, &BlobPin{a, 9}, &BlobPin{a, 11}},
		{"cid", &BlobDelete{a}, &BlobDelete{a}, &BlobDelete{b}},
		{"tool_id", &ToolCall{a, 5, nil}, &ToolCall{a, 5, nil}, &ToolCall{b, 5, nil}},
		{"max_calls", &ToolCall{a, 5, nil}, &ToolCall{a, 4, nil}, &ToolCall{a, 6, nil}},
		{"recipe_id", train, train, &TrainRun{b, 5, 50, n(4)}},
		{"max_jobs", train, &TrainRun{a, 4, 50, n(4)}, &TrainRun{a, 6, 50, n(4)}},
		{"max_tokens", train, &TrainRun{a, 5, 49, n(4)}, &TrainRun{a, 5, 51, n(4)}},
		{"max_gpu_ms", train, &TrainRun{a, 5, 50, n(3)}, &TrainRun{a, 5, 50, nil}},
		{"suite_id", &EvalRun{a, 5}, &EvalRun{a, 5}, &EvalRun{b, 5}},
		{"max_runs", &EvalRun{a, 5}, &EvalRun{a, 4}, &EvalRun{a, 6}},
		{"ring_id", &DeployPromote{1, a}, &DeployPromote{1, a}, &DeployPromote{0, a}},
		{"policy_id", &DeployPromote{1, a}, &DeployPromote{1, a}, &DeployPromote{1, b}},
		{"pool_id", spawn, spawn, &ComputeSpawn{b, 3, 30, 4}},
		{"max_workers", spawn, &ComputeSpawn{a, 2, 30, 4}, &ComputeSpawn{a, 4, 30, 4}},
		{"max_cpu_us", spawn, &ComputeSpawn{a, 3, 29, 4}, &ComputeSpawn{a, 3, 31, 4}},
		{"max_io", spawn, &ComputeSpawn{a, 3, 30, 3}, &ComputeSpawn{a, 3, 30, 5}},
		{"cell_id", &CellRead{a, []byte("k")}, &CellRead{a, []byte("k")}, &CellRead{b, []byte("k")}},
		{"key_prefix", &CellRead{a, []byte("k")}, &CellRead{a, []byte("kk")}, &CellRead{a, nil}},
		{"cell_id", cells, cells, &CellWrite{b, 5, []uint32{1}}},
		{"max_events", cells, &CellWrite{a, 4, []uint32{1, 2}}, &CellWrite{a, 6, []uint32{1}}},
		{"event_type_allow", cells, &CellWrite{a, 5, []uint32{2}}, &CellWrite{a, 5, []uint32{1, 3}}},
		{"hosts", net, &NetConnect{[]string{"b.a.org"}, net.Ports, net.Methods}, &NetConnect{[]string{"a.org"}, net.Ports, net.Methods}},
		{"ports", net, &NetConnect{net.Hosts, []uint32{80}, net.Methods}, &NetConnect{net.Hosts, []uint32{81}, net.Methods}},
		{"methods", net, &NetConnect{net.Hosts, net.Ports, []string{"PUT"}}, &NetConnect{net.Hosts, net.Ports, []string{"POST"}}},
		{"path", &FsRead{"/a"}, &FsRead{"/a/b"}, &FsRead{"/ab"}},
		{"path", &FsWrite{"/a", 9}, &FsWrite{"/a/b", 9}, &FsWrite{"/", 9}},
		{"max_bytes", &FsWrite{"/a", 9}, &FsWrite{"/a", 8}, &FsWrite{"/a", 10}},
		{"name", &SecretRead{"k"}, &SecretRead{"k"}, &SecretRead{"kk"}},
		{"package_id", &PackageRun{a, 1}, &PackageRun{a, 1}, &PackageRun{b, 1}},
		{"ring", &PackageRun{a, 1}, &PackageRun{a, 0}, &PackageRun{a, 2}},
		{"name_prefix", &PackagePublish{"a/"}, &PackagePublish{"a/b"}, &PackagePublish{"a"}},
	}
}

// The rows of the code are those of the RFC, in its order, and each has a case.
func TestRowsAreThoseOfTheSpecification(t *testing.T) {
	spec, err := os.ReadFile("../../../spec/RFC-MYTHOS-0008.md")
	if err != nil {
		t.Fatal(err)
	}
	var written, coded, tested []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \| (\w+) \| .+ \|$`).FindAllSubmatch(spec, -1) {
		if _, ok := KindOf(string(m[2])); ok {
			written = append(written, fmt.Sprintf("%s %s %s", m[1], m[2], m[3]))
		}
	}
	for _, r := range rules {
		for _, row := range r.rows {
			coded = append(coded, fmt.Sprintf("%d %s %s", r.kind, r.name, row.name))
		}
	}
	for _, c := range rowCases() {
		k := c.parent.Kind()
		tested = append(tested, fmt.Sprintf("%d %s %s", k, KindName(k), c.row))
	}
	if diff := cmp.Diff(written, coded); diff != "" {
		t.Errorf("code differs from the RFC:\n%s", diff)
	}
	if diff := cmp.Diff(written, tested); diff != "" {
		t.Errorf("cases differ from the RFC:\n%s", diff)
	}
}

func TestRows(t *testing.T) {
	for _, c := range rowCases() {
		t.Run(KindName(c.parent.Kind())+" "+c.row, func(t *testing.T) {
			if err := checkChain(t, []Power{c.parent, c.accept}, c.accept); err != nil {
				t.Errorf("the accepted case is refused: %v", err)
			}
			err := checkChain(t, []Power{c.parent, c.other}, c.accept)
			wantDenial(t, err, ErrScope, 1, RuleSubset)
			var d *Denial
			if errors.As(err, &d) && d.Field != c.row {
				t.Errorf("refused by row %q: %v", d.Field, err)
			}
		})
	}
}
