package caps

import (
	"cmp"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Request is one concrete use of power, of any kind but ToolCall: *ReadBlob,
// *Connect and so on. What was asked for is judged as the narrowest scope of its
// kind that it needs (RFC-MYTHOS-0008 §5).
type Request interface {
	// Kind returns the kind of the power.
	Kind() uint8
	// need returns the narrowest scope, or why this is no use at all.
	need() (Power, string)
	// spends returns how many of a link's counted uses it takes.
	spends() uint32
}

// uncounted is embedded in requests of kinds without a counted limit.
type uncounted struct{}

func (uncounted) spends() uint32 { return 0 }

// counted is embedded in requests that take one of a count.
type counted struct{}

func (counted) spends() uint32 { return 1 }

// ReadBlob reads a blob from Start, Len bytes or to the end if Len is nil.
type ReadBlob struct {
	uncounted
	CID   cid.Hash
	Start uint64
	Len   *uint64
}

// WriteBlob stores a blob of Size encoded bytes.
type WriteBlob struct {
	uncounted
	Namespace string
	Size      uint64
	Media     string
}

// PinBlob keeps a blob for TTLMicros from now.
type PinBlob struct {
	uncounted
	CID       cid.Hash
	TTLMicros uint64
}

// DeleteBlob deletes a blob.
type DeleteBlob struct {
	uncounted
	CID cid.Hash
}

// Train starts one job; Tokens and GPUMillis are what it may use at most.
type Train struct {
	counted
	Recipe    cid.Hash
	Tokens    uint64
	GPUMillis uint64
}

// Evaluate runs a suite once.
type Evaluate struct {
	counted
	Suite cid.Hash
}

// Promote promotes into a ring under a policy.
type Promote struct {
	uncounted
	Ring   uint8
	Policy cid.Hash
}

// Spawn starts workers in a pool. All three numbers are totals of the run, this
// use included.
type Spawn struct {
	uncounted
	Pool      cid.Hash
	Workers   uint32
	CPUMicros uint64
	IO        uint32
}

// ReadCell reads what a cell holds under keys that begin with Key; an empty Key
// is the whole cell.
type ReadCell struct {
	uncounted
	Cell cid.Hash
	Key  []byte
}

// WriteCell appends events, one type each, to a cell.
type WriteCell struct {
	Cell  cid.Hash
	Types []uint32 // at least one
}

func (x *WriteCell) spends() uint32 { return uint32(min(len(x.Types), 1<<32-1)) }

// Connect opens a connection. The host resolves Host once and connects to Addr;
// every redirect is a Connect of its own.
type Connect struct {
	uncounted
	Host   string // an exact lower-case name or address
	Addr   Addr   // where the connection goes
	Port   uint16
	Method string // of the HTTP request that the host performs; "": a bare connection
}

// ReadFile reads the file or lists the folder at Path, symbolic links resolved.
type ReadFile struct {
	uncounted
	Path string
}

// WriteFile creates, changes or removes the file at Path, symbolic links resolved.
// Written is how many bytes the run has written through this chain, this write
// included.
type WriteFile struct {
	uncounted
	Path    string
	Written uint64
}

// ReadClock reads the time.
type ReadClock struct{ uncounted }

// ReadRandom draws random bytes.
type ReadRandom struct{ uncounted }

// ReadSecret reads a secret.
type ReadSecret struct {
	uncounted
	Name string
}

// RunPackage runs a package in a ring.
type RunPackage struct {
	uncounted
	Package cid.Hash
	Ring    uint8
}

// PublishPackage publishes a package under a name.
type PublishPackage struct {
	uncounted
	Name string
}

// The kinds of the requests.
func (*ReadBlob) Kind() uint8       { return KindBlobRead }
func (*WriteBlob) Kind() uint8      { return KindBlobWrite }
func (*PinBlob) Kind() uint8        { return KindBlobPin }
func (*DeleteBlob) Kind() uint8     { return KindBlobDelete }
func (*Train) Kind() uint8          { return KindTrainRun }
func (*Evaluate) Kind() uint8       { return KindEvalRun }
func (*Promote) Kind() uint8        { return KindDeployPromote }
func (*Spawn) Kind() uint8          { return KindComputeSpawn }
func (*ReadCell) Kind() uint8       { return KindCellRead }
func (*WriteCell) Kind() uint8      { return KindCellWrite }
func (*Connect) Kind() uint8        { return KindNetConnect }
func (*ReadFile) Kind() uint8       { return KindFsRead }
func (*WriteFile) Kind() uint8      { return KindFsWrite }
func (*ReadClock) Kind() uint8      { return KindClock }
func (*ReadRandom) Kind() uint8     { return KindRandom }
func (*ReadSecret) Kind() uint8     { return KindSecretRead }
func (*RunPackage) Kind() uint8     { return KindPackageRun }
func (*PublishPackage) Kind() uint8 { return KindPackagePublish }

func (x *ReadBlob) need() (Power, string) { return &BlobRead{x.CID, &x.Start, x.Len}, "" }

func (x *WriteBlob) need() (Power, string) {
	return &BlobWrite{x.Namespace, x.Size, []string{x.Media}}, ""
}

func (x *PinBlob) need() (Power, string)    { return &BlobPin{x.CID, x.TTLMicros}, "" }
func (x *DeleteBlob) need() (Power, string) { return &BlobDelete{x.CID}, "" }
func (x *Train) need() (Power, string)      { return &TrainRun{x.Recipe, 1, x.Tokens, &x.GPUMillis}, "" }
func (x *Evaluate) need() (Power, string)   { return &EvalRun{x.Suite, 1}, "" }
func (x *Promote) need() (Power, string)    { return &DeployPromote{x.Ring, x.Policy}, "" }
func (x *Spawn) need() (Power, string) {
	return &ComputeSpawn{x.Pool, x.Workers, x.CPUMicros, x.IO}, ""
}
func (x *ReadCell) need() (Power, string) { return &CellRead{x.Cell, x.Key}, "" }

func (x *WriteCell) need() (Power, string) {
	if len(x.Types) == 0 {
		return nil, "it writes no event" // an absent list would ask for every type
	}
	return &CellWrite{x.Cell, x.spends(), x.Types}, ""
}

func (x *Connect) need() (Power, string) {
	literal, isAddr := ParseAddr(x.Host)
	switch {
	case !isAddr && !soundName(x.Host):
		return nil, fmt.Sprintf("host %q is no lower-case name or address", x.Host)
	case x.Addr == Addr{}:
		return nil, fmt.Sprintf("host %q has no address yet", x.Host)
	case isAddr && literal != x.Addr:
		return nil, fmt.Sprintf("host %s is not address %s", literal, x.Addr)
	}
	n := &NetConnect{Hosts: []string{x.Host}, Ports: []uint32{uint32(x.Port)}}
	if x.Method != "" {
		n.Methods = []string{x.Method}
	}
	return n, ""
}

func (x *ReadFile) need() (Power, string)   { return &FsRead{x.Path}, "" }
func (x *WriteFile) need() (Power, string)  { return &FsWrite{x.Path, x.Written}, "" }
func (x *ReadClock) need() (Power, string)  { return &Clock{}, "" }
func (x *ReadRandom) need() (Power, string) { return &Random{}, "" }
func (x *ReadSecret) need() (Power, string) { return &SecretRead{x.Name}, "" }
func (x *RunPackage) need() (Power, string) { return &PackageRun{x.Package, x.Ring}, "" }

func (x *PublishPackage) need() (Power, string) {
	if x.Name == "" {
		return nil, "a package without a name"
	}
	return &PackagePublish{x.Name}, ""
}

// Admits reports whether the scope alone covers a request: what a module says
// that it needs, for one. The error's code is ErrScope, ErrKind, or that of a
// payload which does not decode.
func (s Scope) Admits(r Request) error {
	have, err := decodeScope(s.Kind, s.Payload)
	if err != nil {
		return err
	}
	need, why := Use{Request: r}.need()
	if why != "" {
		return fault.New(ErrScope, "%s, so nothing covers it", why)
	}
	return cmp.Or(need.within(have), have.reaches(r)).err()
}

// reaches reports why a link's scope does not let a connection go where it goes:
// a special address counts only if it is itself among the hosts.
func (s scope) reaches(r Request) *breach {
	c, ok1 := r.(*Connect)
	n, ok2 := s.power.(*NetConnect)
	if !ok1 || !ok2 {
		return nil
	}
	name := c.Addr.Special()
	if name == "" || setOf(n.Hosts)[c.Addr.String()] {
		return nil
	}
	return beyond("hosts", fmt.Sprintf("hosts do not list address %s, which is %s", c.Addr, name))
}
