package conformance

import (
	"encoding/json"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// CapRequest is one concrete use of a power other than ToolCall: in JSON its kind
// and the members of that kind, all of them.
type CapRequest struct{ request caps.Request }

// UnmarshalJSON reads the members of the kind, and no others.
func (x *CapRequest) UnmarshalJSON(raw []byte) error {
	var head struct {
		Kind uint8 `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	read, ok := capRequests()[head.Kind]
	if !ok {
		return badInput("kind %d has no requests", head.Kind)
	}
	var err error
	x.request, err = read(raw)
	return err
}

// kind is embedded in the members of every kind.
type kind struct {
	Kind uint8 `json:"kind"`
}

// requestOf makes a reader of requests whose members are In.
func requestOf[In any](f func(In) (caps.Request, error)) func([]byte) (caps.Request, error) {
	return func(raw []byte) (caps.Request, error) {
		var in In
		if err := strictJSON(raw, &in); err != nil {
			return nil, err
		}
		return f(in)
	}
}

// plainRequest is requestOf for members that cannot contradict each other.
func plainRequest[In any](f func(In) caps.Request) func([]byte) (caps.Request, error) {
	return requestOf(func(in In) (caps.Request, error) { return f(in), nil })
}

type (
	blobMembers struct {
		kind
		CID    cid.Hash `json:"cid"`
		Start  U64      `json:"start,omitzero"`
		Length *U64     `json:"length,omitempty"`
	}
	storeMembers struct {
		kind
		Namespace string `json:"namespace"`
		Size      U64    `json:"size"`
		Media     string `json:"media"`
	}
	pinMembers struct {
		kind
		CID cid.Hash `json:"cid"`
		TTL U64      `json:"ttl_us,omitzero"`
	}
	trainMembers struct {
		kind
		Recipe cid.Hash `json:"recipe_id"`
		Tokens U64      `json:"tokens"`
		GPU    U64      `json:"gpu_ms"`
	}
	suiteMembers struct {
		kind
		Suite cid.Hash `json:"suite_id"`
	}
	promoteMembers struct {
		kind
		Ring   uint8    `json:"ring"`
		Policy cid.Hash `json:"policy_id"`
	}
	spawnMembers struct {
		kind
		Pool    cid.Hash `json:"pool_id"`
		Workers uint32   `json:"workers"`
		CPU     U64      `json:"cpu_us"`
		IO      uint32   `json:"io"`
	}
	cellMembers struct {
		kind
		Cell  cid.Hash `json:"cell_id"`
		Key   Hex      `json:"key,omitempty"`
		Types []uint32 `json:"types,omitempty"`
	}
	connectMembers struct {
		kind
		Host    string `json:"host"`
		Address Hex    `json:"address"` // 4 or 16 bytes, or none
		Port    uint16 `json:"port"`
		Method  string `json:"method,omitempty"`
	}
	fileMembers struct {
		kind
		Path    string `json:"path"`
		Written U64    `json:"written,omitzero"`
	}
	nameMembers struct {
		kind
		Name string `json:"name"`
	}
	runMembers struct {
		kind
		Package cid.Hash `json:"package_id"`
		Ring    uint8    `json:"ring"`
	}
)

// capRequests reads the requests of each kind.
func capRequests() map[uint8]func([]byte) (caps.Request, error) {
	return map[uint8]func([]byte) (caps.Request, error){
		caps.KindBlobRead: plainRequest(func(m blobMembers) caps.Request {
			return &caps.ReadBlob{CID: m.CID, Start: uint64(m.Start), Len: (*uint64)(m.Length)}
		}),
		caps.KindBlobWrite: plainRequest(func(m storeMembers) caps.Request {
			return &caps.WriteBlob{Namespace: m.Namespace, Size: uint64(m.Size), Media: m.Media}
		}),
		caps.KindBlobPin:    plainRequest(func(m pinMembers) caps.Request { return &caps.PinBlob{CID: m.CID, TTLMicros: uint64(m.TTL)} }),
		caps.KindBlobDelete: plainRequest(func(m pinMembers) caps.Request { return &caps.DeleteBlob{CID: m.CID} }),
		caps.KindTrainRun: plainRequest(func(m trainMembers) caps.Request {
			return &caps.Train{Recipe: m.Recipe, Tokens: uint64(m.Tokens), GPUMillis: uint64(m.GPU)}
		}),
		caps.KindEvalRun:       plainRequest(func(m suiteMembers) caps.Request { return &caps.Evaluate{Suite: m.Suite} }),
		caps.KindDeployPromote: plainRequest(func(m promoteMembers) caps.Request { return &caps.Promote{Ring: m.Ring, Policy: m.Policy} }),
		caps.KindComputeSpawn: plainRequest(func(m spawnMembers) caps.Request {
			return &caps.Spawn{Pool: m.Pool, Workers: m.Workers, CPUMicros: uint64(m.CPU), IO: m.IO}
		}),
		caps.KindCellRead:       plainRequest(func(m cellMembers) caps.Request { return &caps.ReadCell{Cell: m.Cell, Key: m.Key} }),
		caps.KindCellWrite:      plainRequest(func(m cellMembers) caps.Request { return &caps.WriteCell{Cell: m.Cell, Types: m.Types} }),
		caps.KindNetConnect:     requestOf(connect),
		caps.KindFsRead:         plainRequest(func(m fileMembers) caps.Request { return &caps.ReadFile{Path: m.Path} }),
		caps.KindFsWrite:        plainRequest(func(m fileMembers) caps.Request { return &caps.WriteFile{Path: m.Path, Written: uint64(m.Written)} }),
		caps.KindClock:          plainRequest(func(kind) caps.Request { return &caps.ReadClock{} }),
		caps.KindRandom:         plainRequest(func(kind) caps.Request { return &caps.ReadRandom{} }),
		caps.KindSecretRead:     plainRequest(func(m nameMembers) caps.Request { return &caps.ReadSecret{Name: m.Name} }),
		caps.KindPackageRun:     plainRequest(func(m runMembers) caps.Request { return &caps.RunPackage{Package: m.Package, Ring: m.Ring} }),
		caps.KindPackagePublish: plainRequest(func(m nameMembers) caps.Request { return &caps.PublishPackage{Name: m.Name} }),
	}
}

// connect leaves the address out if there is none.
func connect(m connectMembers) (caps.Request, error) {
	r := &caps.Connect{Host: m.Host, Port: m.Port, Method: m.Method}
	if len(m.Address) == 0 {
		return r, nil
	}
	var ok bool
	if r.Addr, ok = caps.AddrFrom(m.Address); !ok {
		return nil, badInput("an address has 4 or 16 bytes")
	}
	return r, nil
}
