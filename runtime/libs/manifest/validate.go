package manifest

import (
	"cmp"
	"errors"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of a manifest's own rules.
const (
	ErrLimit        fault.Code = "package_limit"            // more, or larger, than a package may be
	ErrName         fault.Code = "package_name"             // a package name outside its grammar
	ErrVersion      fault.Code = "package_version"          // a text that is not a semantic version
	ErrOrder        fault.Code = "package_order"            // a list out of order, or with one item twice
	ErrReference    fault.Code = "package_reference"        // a reference to no artifact, or to one of another kind
	ErrVariant      fault.Code = "package_variant_mismatch" // bindings of one tool that differ in what they must share
	ErrArtifact     fault.Code = "artifact_invalid"         // an artifact's kind or media type
	ErrArtifactHash fault.Code = "artifact_hash"            // content, or a cid, that is not what the hashes say
	ErrTool         fault.Code = "tool_invalid"             // a tool's name
	ErrModule       fault.Code = "module_ref_invalid"       // a module that contradicts its kind
	ErrModuleLimits fault.Code = "module_limits_invalid"    // a limit out of range
	ErrEntrypoint   fault.Code = "entrypoint_invalid"       // an entry point's name or doc
)

// Bounds of a manifest's parts.
const (
	MaxName         = 128
	MaxWord         = 64 // variants, entry points, features
	MaxMediaType    = 255
	MaxDoc          = 4096
	MaxFeatures     = 64
	MaxArtifacts    = 10_000
	MaxArtifactSize = 8_589_934_591
	MaxModules      = 1024
	MaxEntrypoints  = 1024
	MaxSignatures   = 64
	MaxAttestations = 64
)

// Validate performs step 9 of the loading order: every rule that a manifest's
// own bytes can decide, in the order of its fields (RFC-MYTHOS-0006 §2, §3 and
// §4).
func (u *Unverified) Validate() error { return u.claims.Validate() }

// Validate is Unverified.Validate for a manifest under construction.
func (x *Manifest) Validate() error {
	if x.FormatVersion != FormatVersion {
		return fault.New(ErrFormat, "format_version is %d, this build reads %d", x.FormatVersion, FormatVersion)
	}
	if !CheckName(x.Name) {
		return fault.New(ErrName, "%s: want lower-case words of a-z and 0-9 joined by . _ / or -, at most %d bytes", quote(x.Name), MaxName)
	}
	if _, err := ParseVersion(x.Version); err != nil {
		return about(err, "version")
	}
	if err := x.Requires.validate(); err != nil {
		return err
	}
	kinds, err := x.artifactKinds()
	if err != nil {
		return err
	}
	if err := x.validateModules(kinds); err != nil {
		return err
	}
	if err := x.validateEntrypoints(kinds); err != nil {
		return err
	}
	if err := x.validatePolicies(kinds); err != nil {
		return err
	}
	return x.validateStatements()
}

func (x *Requires) validate() error {
	if _, err := x.minVersion(); err != nil {
		return err
	}
	if len(x.Features) > MaxFeatures {
		return count("features", len(x.Features), MaxFeatures)
	}
	for i, f := range x.Features {
		switch {
		case !CheckWord(f):
			return fault.New(ErrFeature, "%s is no feature's name", quote(f))
		case i > 0 && x.Features[i-1] >= f:
			return fault.New(ErrOrder, "features must ascend, none twice: %s", quote(f)).About("requires.features")
		}
	}
	return nil
}

// about names what an error of this package is about.
func about(err error, subject string) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.About(subject)
	}
	return err
}

func count(what string, got, most int) *fault.Error {
	return fault.New(ErrLimit, "%d %s, at most %d", got, what, most)
}

// artifactKinds checks the artifacts and indexes their kinds by cid.
func (x *Manifest) artifactKinds() (map[cid.Hash]uint8, error) {
	if len(x.Artifacts) > MaxArtifacts {
		return nil, count("artifacts", len(x.Artifacts), MaxArtifacts)
	}
	kinds := make(map[cid.Hash]uint8, len(x.Artifacts))
	for i := range x.Artifacts {
		a := &x.Artifacts[i]
		if i > 0 && x.Artifacts[i-1].CID.Compare(a.CID) >= 0 {
			return nil, fault.New(ErrOrder, "artifacts must ascend by cid, none twice").About(a.CID.String())
		}
		if err := a.validate(); err != nil {
			return nil, err
		}
		kinds[a.CID] = a.Kind
	}
	return kinds, nil
}

func (x *Manifest) validateModules(kinds map[cid.Hash]uint8) error {
	if len(x.Modules) > MaxModules {
		return count("modules", len(x.Modules), MaxModules)
	}
	for i := range x.Modules {
		b := &x.Modules[i]
		if i > 0 && x.Modules[i-1].compare(b) >= 0 {
			return fault.New(ErrOrder, "modules must ascend by tool_id, variant and platform, no three twice").About(b.Label())
		}
		if err := b.validate(kinds); err != nil {
			return err
		}
		if i == 0 || x.Modules[i-1].ToolID != b.ToolID {
			continue
		}
		if why := b.differs(&x.Modules[i-1]); why != "" {
			return fault.New(ErrVariant, "%s differs from that of %s", why, x.Modules[i-1].Label()).About(b.Label())
		}
	}
	return nil
}

func (x *ModuleBinding) compare(o *ModuleBinding) int {
	return cmp.Or(x.ToolID.Compare(o.ToolID), cmp.Compare(x.Variant, o.Variant), cmp.Compare(x.Module.Platform, o.Module.Platform))
}

// differs names what two bindings of one tool must share and do not: result,
// hashes and idempotency must not depend on the variant that runs.
func (x *ModuleBinding) differs(o *ModuleBinding) string {
	switch {
	case string(x.Tool.AppendCAN(nil)) != string(o.Tool.AppendCAN(nil)):
		return "tool"
	case x.Module.Retry != o.Module.Retry:
		return "retry"
	case x.Module.Limits.MaxRequestBytes != o.Module.Limits.MaxRequestBytes:
		return "max_request_bytes"
	case x.Module.Limits.MaxResponseBytes != o.Module.Limits.MaxResponseBytes:
		return "max_response_bytes"
	}
	return ""
}

// Label names a binding for people: tool, variant and platform.
func (x *ModuleBinding) Label() string {
	s := plain(x.Tool.Name)
	if x.Variant != "" {
		s += "=" + plain(x.Variant)
	}
	if x.Module.Platform != "" {
		s += " (" + plain(x.Module.Platform) + ")"
	}
	return s
}

func (x *Manifest) validateEntrypoints(kinds map[cid.Hash]uint8) error {
	if n := len(x.Entrypoints); n == 0 || n > MaxEntrypoints {
		return fault.New(ErrLimit, "%d entry points, want 1..%d", n, MaxEntrypoints)
	}
	for i := range x.Entrypoints {
		e := &x.Entrypoints[i]
		subject := "entry point " + plain(e.Name)
		switch {
		case i > 0 && x.Entrypoints[i-1].Name >= e.Name:
			return fault.New(ErrOrder, "entry points must ascend by name, none twice").About(subject)
		case !CheckWord(e.Name):
			return fault.New(ErrEntrypoint, "want lower-case words of a-z and 0-9 joined by . _ or -, at most %d bytes", MaxWord).About(subject)
		case len(e.Doc) > MaxDoc:
			return fault.New(ErrEntrypoint, "doc has %d bytes, at most %d", len(e.Doc), MaxDoc).About(subject)
		}
		if err := resolve(kinds, e.Bundle, KindIR, subject); err != nil {
			return err
		}
	}
	return nil
}

func (x *Manifest) validatePolicies(kinds map[cid.Hash]uint8) error {
	for i, p := range x.Policies {
		if i > 0 && x.Policies[i-1].Compare(p) >= 0 {
			return fault.New(ErrOrder, "policies must ascend, none twice").About(p.String())
		}
		if err := resolve(kinds, p, KindPolicy, "policies"); err != nil {
			return err
		}
	}
	return nil
}

// validateStatements checks the lists of signatures and attestations.
func (x *Manifest) validateStatements() error {
	if len(x.Signatures) > MaxSignatures {
		return count("signatures", len(x.Signatures), MaxSignatures)
	}
	if err := checkSignatureList(x.Signatures); err != nil {
		return err
	}
	if len(x.Attestations) > MaxAttestations {
		return count("attestations", len(x.Attestations), MaxAttestations)
	}
	for i := 1; i < len(x.Attestations); i++ {
		if id := x.Attestations[i].AttestationID; x.Attestations[i-1].AttestationID.Compare(id) >= 0 {
			return fault.New(ErrOrder, "attestations must ascend by id, none twice").About(id.String())
		}
	}
	return nil
}

// resolve checks that h names an artifact of the kind that a reference wants.
func resolve(kinds map[cid.Hash]uint8, h cid.Hash, want uint8, subject string) error {
	switch got, ok := kinds[h]; {
	case !ok:
		return fault.New(ErrReference, "%s is not among the artifacts", h).About(subject)
	case got != want:
		return fault.New(ErrReference, "%s is an artifact of kind %s, want %s", h, KindName(got), KindName(want)).About(subject)
	}
	return nil
}
