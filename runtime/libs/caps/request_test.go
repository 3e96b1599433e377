package caps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func addr(t tb, s string) Addr {
	t.Helper()
	a, ok := ParseAddr(s)
	if !ok {
		t.Fatalf("%s is no address", s)
	}
	return a
}

// ask checks one request under a chain of roots and narrowings.
func ask(t tb, r Request, powers ...Power) (Grant, error) {
	t.Helper()
	u := use()
	u.Kind, u.Scope, u.Call, u.Request = 0, nil, nil, r
	return chainOf(t, powers).Check(u)
}

func TestRequests(t *testing.T) {
	a, b := hashOf("a"), hashOf("b")
	n := func(n uint64) *uint64 { return &n }
	for _, c := range []struct {
		name  string
		power Power
		r     Request
		field string // "-": allowed
	}{
		{"a range", &BlobRead{a, n(4), n(4)}, &ReadBlob{CID: a, Start: 5, Len: n(3)}, "-"},
		{"a range too long", &BlobRead{a, n(4), n(4)}, &ReadBlob{CID: a, Start: 5, Len: n(4)}, "range"},
		{"to the end", &BlobRead{a, n(4), n(4)}, &ReadBlob{CID: a, Start: 5}, "range"},
		{"beyond 2^64", &BlobRead{a, nil, nil}, &ReadBlob{CID: a, Start: ^uint64(0), Len: n(1)}, ""},
		{"another blob", &BlobRead{a, nil, nil}, &ReadBlob{CID: b}, "cid"},
		{"a write", &BlobWrite{"ns", 9, []string{"m"}}, &WriteBlob{Namespace: "ns", Size: 9, Media: "m"}, "-"},
		{"a large write", &BlobWrite{"ns", 9, []string{"m"}}, &WriteBlob{Namespace: "ns", Size: 10, Media: "m"}, "max_size"},
		{"another media type", &BlobWrite{"ns", 9, []string{"m"}}, &WriteBlob{Namespace: "ns", Media: ""}, "media_allow"},
		{"a pin", &BlobPin{a, 9}, &PinBlob{CID: a, TTLMicros: 9}, "-"},
		{"a long pin", &BlobPin{a, 9}, &PinBlob{CID: a, TTLMicros: 10}, "ttl_us"},
		{"a deletion", &BlobDelete{a}, &DeleteBlob{CID: a}, "-"},
		{"another deletion", &BlobDelete{a}, &DeleteBlob{CID: b}, "cid"},
		{"a job", &TrainRun{a, 1, 9, n(9)}, &Train{Recipe: a, Tokens: 9, GPUMillis: 9}, "-"},
		{"a job with GPU", &TrainRun{a, 1, 9, nil}, &Train{Recipe: a, Tokens: 9, GPUMillis: ^uint64(0)}, "-"},
		{"a job with too much GPU", &TrainRun{a, 1, 9, n(9)}, &Train{Recipe: a, Tokens: 9, GPUMillis: 10}, "max_gpu_ms"},
		{"no jobs", &TrainRun{a, 0, 9, n(9)}, &Train{Recipe: a}, "max_jobs"},
		{"a suite", &EvalRun{a, 1}, &Evaluate{Suite: a}, "-"},
		{"no runs", &EvalRun{a, 0}, &Evaluate{Suite: a}, "max_runs"},
		{"a promotion", &DeployPromote{2, a}, &Promote{Ring: 2, Policy: a}, "-"},
		{"a promotion lower", &DeployPromote{2, a}, &Promote{Ring: 1, Policy: a}, "ring_id"},
		{"workers", &ComputeSpawn{a, 3, 4, 5}, &Spawn{Pool: a, Workers: 3, CPUMicros: 4, IO: 5}, "-"},
		{"too many workers", &ComputeSpawn{a, 3, 4, 5}, &Spawn{Pool: a, Workers: 4}, "max_workers"},
		{"a key", &CellRead{a, []byte("k/")}, &ReadCell{Cell: a, Key: []byte("k/1")}, "-"},
		{"the whole cell", &CellRead{a, []byte("k/")}, &ReadCell{Cell: a}, "key_prefix"},
		{"events", &CellWrite{a, 2, []uint32{7}}, &WriteCell{Cell: a, Types: []uint32{7, 7}}, "-"},
		{"too many events", &CellWrite{a, 2, nil}, &WriteCell{Cell: a, Types: []uint32{7, 8, 9}}, "max_events"},
		{"another event", &CellWrite{a, 2, []uint32{7}}, &WriteCell{Cell: a, Types: []uint32{7, 8}}, "event_type_allow"},
		{"no events", &CellWrite{a, 2, []uint32{7}}, &WriteCell{Cell: a}, ""},
		{"a file", &FsRead{"/data"}, &ReadFile{Path: "/data/x"}, "-"},
		{"a sibling", &FsRead{"/data"}, &ReadFile{Path: "/database"}, "path"},
		{"a way up", &FsRead{"/data"}, &ReadFile{Path: "/data/../etc"}, ""},
		{"a written file", &FsWrite{"/data", 9}, &WriteFile{Path: "/data", Written: 9}, "-"},
		{"too many bytes", &FsWrite{"/data", 9}, &WriteFile{Path: "/data", Written: 10}, "max_bytes"},
		{"the clock", &Clock{}, &ReadClock{}, "-"},
		{"randomness", &Random{}, &ReadRandom{}, "-"},
		{"the wrong kind", &Random{}, &ReadClock{}, "kind"},
		{"reading is not writing", &FsRead{"/"}, &WriteFile{Path: "/x"}, "kind"},
		{"a secret", &SecretRead{"k"}, &ReadSecret{Name: "k"}, "-"},
		{"another secret", &SecretRead{"k"}, &ReadSecret{Name: "k2"}, "name"},
		{"a package", &PackageRun{a, 1}, &RunPackage{Package: a, Ring: 0}, "-"},
		{"a higher ring", &PackageRun{a, 1}, &RunPackage{Package: a, Ring: 2}, "ring"},
		{"a name", &PackagePublish{"a/"}, &PublishPackage{Name: "a/b"}, "-"},
		{"another name", &PackagePublish{"a/"}, &PublishPackage{Name: "b/a/"}, "name_prefix"},
		{"no name", &PackagePublish{""}, &PublishPackage{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ask(t, c.r, c.power)
			wantField(t, err, c.field)
		})
	}
}

// wantField checks that a request is allowed ("-"), or refused by a row.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	if field == "-" {
		wantCode(t, err, "")
		return
	}
	d, ok := err.(*Denial)
	if !ok || d.Code != ErrScope || d.Rule != RuleUse || d.Field != field {
		t.Errorf("got %v (%+v), want row %q", err, d, field)
	}
}

func TestConnections(t *testing.T) {
	hosts := func(h ...string) *NetConnect { return &NetConnect{h, []uint32{443}, nil} }
	to := func(host, at string) *Connect { return &Connect{Host: host, Addr: addr(t, at), Port: 443} }
	web := &NetConnect{[]string{"a.org"}, []uint32{443}, []string{"GET"}}
	fetch := func(method string) *Connect {
		return &Connect{Host: "a.org", Addr: addr(t, "1.1.1.1"), Port: 443, Method: method}
	}
	for _, c := range []struct {
		name   string
		powers []Power
		r      *Connect
		field  string
	}{
		{"a name", []Power{hosts("a.org")}, to("a.org", "1.1.1.1"), "-"},
		{"one label", []Power{hosts("*.a.org")}, to("b.a.org", "2606:4700::1111"), "-"},
		{"two labels", []Power{hosts("*.a.org")}, to("c.b.a.org", "1.1.1.1"), "hosts"},
		{"no label", []Power{hosts("*.a.org")}, to("a.org", "1.1.1.1"), "hosts"},
		{"a wildcard is no host", []Power{hosts("*.a.org")}, to("*.a.org", "1.1.1.1"), ""},
		{"upper case", []Power{hosts("a.org")}, to("A.org", "1.1.1.1"), ""},
		{"a dot behind", []Power{hosts("a.org")}, to("a.org.", "1.1.1.1"), ""},
		{"an address", []Power{hosts("1.1.1.1")}, to("1.1.1.1", "1.1.1.1"), "-"},
		{"an address that is another", []Power{hosts("1.1.1.1")}, to("1.1.1.1", "1.0.0.1"), ""},
		{"an address that no name allows", []Power{hosts("a.org")}, to("1.1.1.1", "1.1.1.1"), "hosts"},
		{"a short address", []Power{hosts("127.0.0.1")}, to("127.1", "127.0.0.1"), ""},
		{"no address", []Power{hosts("a.org")}, &Connect{Host: "a.org", Port: 443}, ""},
		{"another port", []Power{hosts("a.org")}, &Connect{Host: "a.org", Addr: addr(t, "1.1.1.1"), Port: 80}, "ports"},
		{"port 0", []Power{hosts("a.org")}, &Connect{Host: "a.org", Addr: addr(t, "1.1.1.1")}, ""},

		{"rebound to loopback", []Power{hosts("a.org")}, to("a.org", "127.0.0.1"), "hosts"},
		{"rebound to metadata", []Power{hosts("*.a.org")}, to("b.a.org", "169.254.169.254"), "hosts"},
		{"rebound to fd00:ec2::254", []Power{hosts("a.org")}, to("a.org", "fd00:ec2::254"), "hosts"},
		{"rebound to NAT64", []Power{hosts("a.org")}, to("a.org", "64:ff9b::7f00:1"), "hosts"},
		{"localhost", []Power{hosts("localhost")}, to("localhost", "127.0.0.1"), "hosts"},
		{"localhost, listed", []Power{hosts("localhost", "127.0.0.1")}, to("localhost", "127.0.0.1"), "-"},
		{"another loopback listed", []Power{hosts("localhost", "127.0.0.2")}, to("localhost", "127.0.0.1"), "hosts"},
		{"listed literally", []Power{hosts("10.0.0.1")}, to("10.0.0.1", "10.0.0.1"), "-"},
		{"listed by the root, not by the leaf", []Power{hosts("db.a.org", "10.0.0.1"), hosts("db.a.org")}, to("db.a.org", "10.0.0.1"), "hosts"},
		{"listed by both", []Power{hosts("*.a.org", "10.0.0.1"), hosts("db.a.org", "10.0.0.1")}, to("db.a.org", "10.0.0.1"), "-"},

		{"a method", []Power{web}, fetch("GET"), "-"},
		{"another method", []Power{web}, fetch("PUT"), "methods"},
		{"a bare connection under methods", []Power{web}, fetch(""), "methods"},
		{"a method under no methods", []Power{hosts("a.org")}, fetch("GET"), "-"},
		{"a lower-case method", []Power{hosts("a.org")}, fetch("get"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ask(t, c.r, c.powers...)
			wantField(t, err, c.field)
		})
	}
	mapped := [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
	at, _ := AddrFrom(mapped[:])
	_, err := ask(t, &Connect{Host: "a.org", Addr: at, Port: 443}, hosts("a.org"))
	if wantField(t, err, "hosts"); err != nil && !strings.Contains(err.Error(), "address 127.0.0.1, which is loopback") {
		t.Errorf("got %v", err)
	}
}

func TestSpending(t *testing.T) {
	a := hashOf("a")
	for _, c := range []struct {
		r    Request
		p    Power
		want []Count
	}{
		{&Train{Recipe: a}, &TrainRun{a, 5, 9, nil}, []Count{{Max: 5, N: 1}}},
		{&Evaluate{Suite: a}, &EvalRun{a, 6}, []Count{{Max: 6, N: 1}}},
		{&WriteCell{Cell: a, Types: []uint32{1, 2}}, &CellWrite{a, 7, nil}, []Count{{Max: 7, N: 2}}},
		{&ReadClock{}, &Clock{}, nil},
		{&ReadCell{Cell: a}, &CellRead{a, nil}, nil},
	} {
		g, err := ask(t, c.r, c.p)
		for i := range g.Spend {
			if g.Spend[i].CapID != g.CapIDs[i] {
				t.Errorf("%T spends of another link", c.r)
			}
			g.Spend[i].CapID = [32]byte{}
		}
		if diff := cmp.Diff(c.want, g.Spend); diff != "" || err != nil {
			t.Errorf("%T: %v\n%s", c.r, err, diff)
		}
	}
}

func TestUseIsSaidOnce(t *testing.T) {
	for name, edit := range map[string]func(*Use){
		"kind":  func(u *Use) { u.Kind = KindClock },
		"scope": func(u *Use) { u.Scope = []byte{} },
		"call":  func(u *Use) { u.Call = call() },
	} {
		u := use()
		u.Kind, u.Scope, u.Call, u.Request = 0, nil, nil, &ReadClock{}
		edit(&u)
		_, err := one(t, ScopeOf(&Clock{})).Check(u)
		if fault.CodeOf(err) != ErrScope {
			t.Errorf("%s beside a request: %v", name, err)
		}
	}
	u := use()
	u.Kind, u.Scope = KindClock, (&Clock{}).AppendCAN(nil)
	_, err := one(t, ScopeOf(&Clock{})).Check(u)
	wantDenial(t, err, ErrScope, 0, RuleUse)
}
