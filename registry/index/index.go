// Package index is the port to what a registry knows beside objects: which
// manifest a name and version stand for, and which attestations a subject has
// (RFC-MYTHOS-0011 §4.1). Everything in it can be checked by whoever reads it, by
// the hashes and signatures of the objects that it names. It only grows.
//
// An index lives in SQLite for one registry (package sqlite) or in PostgreSQL for
// several; each passes the suite in indextest.
package index

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrUnavailable is the code of an index that failed; it is never said of what is
// not there.
const ErrUnavailable fault.Code = "registry_index_unavailable"

// Entry is one published version of a name.
type Entry struct {
	Name, Version       string
	Manifest, PackageID cid.Hash
	Publishers          []sig.AgentID // whose signatures the manifest carries
	Time                int64         // when it was published, microseconds since 1970
}

// Index is safe for concurrent use. A method that writes returns when what it
// wrote is durable.
type Index interface {
	// Publish adds an entry unless its name and version have one. It returns the
	// entry that stands, and whether it is new.
	Publish(ctx context.Context, e Entry) (stands Entry, added bool, err error)
	// Version returns the entry of a name and version, and whether there is one.
	Version(ctx context.Context, name, version string) (e Entry, ok bool, err error)
	// Versions returns all entries of a name, in no order.
	Versions(ctx context.Context, name string) ([]Entry, error)
	// Package returns the manifests that are published with a package id, ascending.
	Package(ctx context.Context, id cid.Hash) ([]cid.Hash, error)
	// Attest adds an attestation to those of a subject, once.
	Attest(ctx context.Context, subject, attestation cid.Hash) error
	// Attestations returns those of a subject that come after one, ascending, at most
	// limit; the zero hash comes before all.
	Attestations(ctx context.Context, subject, after cid.Hash, limit int) ([]cid.Hash, error)
	// Ping reports whether the index answers.
	Ping(ctx context.Context) error
	Close() error
}

// EncodeAgents writes a list of agents as an index keeps it: the hex of each one's
// canonical bytes, separated by commas.
func EncodeAgents(list []sig.AgentID) string {
	text := make([]string, len(list))
	for i, a := range list {
		text[i] = hex.EncodeToString(a.AppendCAN(nil))
	}
	return strings.Join(text, ",")
}

// DecodeAgents reads what EncodeAgents wrote.
func DecodeAgents(text string) ([]sig.AgentID, error) {
	var list []sig.AgentID
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		a, err := DecodeAgent(part)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// DecodeAgent reads one agent from the hex of its canonical bytes.
func DecodeAgent(text string) (a sig.AgentID, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return a, err
	}
	in := can.NewReader(raw)
	a.ReadCAN(&in)
	return a, in.Done()
}
