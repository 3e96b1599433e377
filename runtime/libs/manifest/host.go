package manifest

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of what a package asks of its executor, and of its attestations.
const (
	ErrFormat         fault.Code = "package_format"      // a format that this build does not read
	ErrExecutorTooOld fault.Code = "executor_too_old"    // it wants a later executor
	ErrCodebook       fault.Code = "codebook_mismatch"   // it wants a codebook that this executor does not have
	ErrFeature        fault.Code = "feature_missing"     // it wants a feature that this executor lacks
	ErrCTVP           fault.Code = "ctvp_unknown"        // it wants a conformance pack that this build has not passed
	ErrAttestation    fault.Code = "attestation_invalid" // an attestation in the manifest that does not hold
)

// Host is what an executor offers.
type Host struct {
	Version   string     // its semantic version; required
	Codebooks []cid.Hash // the codebooks it has; none fits no package
	Features  []string   // the features it knows
	CTVPs     []cid.Hash // SHA-256 of SHA256SUMS of the conformance packs it passed
}

// CheckHost performs steps 4 to 8 of the loading order: format, executor's
// version, codebook, features, conformance pack.
func (u *Unverified) CheckHost(h Host) error {
	r := &u.claims.Requires
	if u.claims.FormatVersion != FormatVersion {
		return fault.New(ErrFormat, "format_version is %d, this build reads %d", u.claims.FormatVersion, FormatVersion)
	}
	least, err := r.minVersion()
	if err != nil {
		return err
	}
	have, err := ParseVersion(h.Version)
	switch {
	case err != nil:
		return err
	case have.Compare(least) < 0:
		return fault.New(ErrExecutorTooOld, "this executor is %s, the package wants %s or later", h.Version, r.ExecutorMinVersion)
	case !slices.Contains(h.Codebooks, r.CodebookID):
		return fault.New(ErrCodebook, "the package uses codebook %s, which this executor does not have", r.CodebookID)
	}
	for _, f := range r.Features {
		if !slices.Contains(h.Features, f) {
			return fault.New(ErrFeature, "the package needs feature %s, which this executor lacks", quote(f))
		}
	}
	if r.CTVPID != nil && !slices.Contains(h.CTVPs, *r.CTVPID) {
		return fault.New(ErrCTVP, "the package wants an executor that passed conformance pack %s; this build did not", r.CTVPID)
	}
	return nil
}

// minVersion returns the least executor, a version without a build.
func (x *Requires) minVersion() (Version, error) {
	v, err := ParseVersion(x.ExecutorMinVersion)
	if err == nil && v.build {
		err = fault.New(ErrVersion, "%s has build metadata", quote(x.ExecutorMinVersion))
	}
	if err != nil {
		return v, about(err, "requires.executor_min_version")
	}
	return v, nil
}

// CheckAttestations performs step 10: each attestation is about this package,
// its id recomputes and its signature verifies. Whether its signer is trusted
// is the policy's question.
func (u *Unverified) CheckAttestations() error {
	list := u.claims.Attestations
	for i := range list {
		a := list[i] // Open fills its own copy
		subject := "attestation " + a.AttestationID.String()
		if a.SubjectHash != u.id {
			return fault.New(ErrAttestation, "it is about %s, not about this package", a.SubjectHash).About(subject)
		}
		// Attestations are closed here, so encoding what was decoded gives the
		// original bytes.
		if _, err := sig.Open(list[i].AppendCAN(nil), &a); err != nil {
			return fault.New(ErrAttestation, "%w", err).About(subject)
		}
	}
	return nil
}
