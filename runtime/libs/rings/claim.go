package rings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrAttestation is the code of a claim that too few verifiers make.
const ErrAttestation fault.Code = "attestation_missing"

// claimNames are the words for claim types (RFC-MYTHOS-0010 §2).
func claimNames() map[uint8]string {
	return map[uint8]string{
		receipt.ContractPass: "contract", receipt.EvalPass: "eval",
		receipt.EvalMetric: "metric", receipt.QuorumSignoff: "signoff",
	}
}

// ClaimName returns the word for a claim type, or "claim N" for an unknown one.
func ClaimName(kind uint8) string {
	if name, ok := claimNames()[kind]; ok {
		return name
	}
	return fmt.Sprintf("claim %d", kind)
}

// ClaimOf returns the claim type that a word names.
func ClaimOf(name string) (uint8, bool) {
	for kind, n := range claimNames() {
		if n == name {
			return kind, true
		}
	}
	return 0, false
}

// Verifiers is one verifier entry of a trust file that counts for a package in a
// ring now.
type Verifiers struct {
	Keys      []sig.AgentID
	Threshold int // its keys count only if this many of them make the claim; at least 1
}

// Tally says how far a claim is met.
type Tally struct {
	Claim     Claim
	Counted   []receipt.Attestation // one for each key that counts, ascending by attestation_id
	Able      []sig.AgentID         // trusted verifiers of the claim that do not count yet
	Untrusted []sig.AgentID         // verifiers of the claim that no entry holds
	Against   []receipt.Attestation // the claim's verifiers whose last word is below it, ascending by attestation_id
}

// Met reports whether the quorum is reached.
func (t *Tally) Met() bool { return uint64(len(t.Counted)) >= uint64(t.Claim.Quorum) }

// Err returns why the claim is not met, nil if it is.
func (t *Tally) Err() error {
	if t.Met() {
		return nil
	}
	text := fmt.Sprintf("%s: %d of %d verifiers attest it; %s", t.Claim.text(), len(t.Counted), t.Claim.Quorum, t.who())
	for _, said := range t.Objections() {
		text += "; " + said
	}
	return fault.New(ErrAttestation, "%s", text)
}

// maxObjections bounds how many verifiers a message quotes, maxQuoted the bytes of
// what each noted.
const (
	maxObjections = 4
	maxQuoted     = 200
)

// Objections says in words which verifiers attested the contrary, when and with which
// notes: the first few.
func (t *Tally) Objections() []string {
	var out []string
	for _, a := range t.Against[:min(len(t.Against), maxObjections)] {
		who, result := a.Signer.Hint, "FAIL"
		if who == "" {
			who = a.Signer.KeyID().Hex()[:12]
		}
		if a.ClaimType == receipt.EvalMetric {
			result = fmt.Sprint(a.Result)
		}
		text := fmt.Sprintf("%s attested %s at %s", who, result, time.UnixMicro(a.TimeObserved).UTC().Format(time.RFC3339))
		if notes := strings.Join(strings.Fields(a.Notes), " "); notes != "" {
			text += ": " + quoted(notes)
		}
		out = append(out, text)
	}
	return out
}

// quoted cuts notes that are too long for a message, between two characters.
func quoted(notes string) string {
	if len(notes) <= maxQuoted {
		return notes
	}
	return strings.ToValidUTF8(notes[:maxQuoted], "") + "..."
}

func (x *Claim) text() string {
	if x.ClaimType == receipt.EvalMetric {
		return fmt.Sprintf("%s of at least %d", ClaimName(x.ClaimType), x.MinResult)
	}
	return ClaimName(x.ClaimType)
}

// who names those who could still make the claim.
func (t *Tally) who() string {
	text := "nobody who is trusted here could still do so"
	if len(t.Able) > 0 {
		text = "who could still do so: " + names(t.Able)
	}
	if len(t.Untrusted) > 0 {
		text += "; listed in the policy, but in no verifier entry that counts here: " + names(t.Untrusted)
	}
	return text
}

// names lists keys for a message, the first few.
func names(keys []sig.AgentID) string {
	text := ""
	for i, k := range keys {
		if i == 4 {
			return text + fmt.Sprintf(" and %d more", len(keys)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += k.KeyID().String()
		if k.Hint != "" {
			text += " (" + k.Hint + ")"
		}
	}
	return text
}

// Count holds attestations about one package against a claim (RFC-MYTHOS-0010 §2).
// The caller has verified their signatures, and that they are about the package;
// trusted is who counts as a verifier there, now is in microseconds.
func (x *Claim) Count(list []receipt.Attestation, trusted []Verifiers, now int64) Tally {
	t := Tally{Claim: *x}
	made := map[[32]byte]receipt.Attestation{}
	for key, a := range latest(x.ClaimType, list, now) {
		switch {
		case !slices.ContainsFunc(x.Verifiers, a.Signer.Equal):
		case a.Result >= x.MinResult:
			made[key] = a
		default:
			t.Against = append(t.Against, a)
		}
	}
	byID := func(a, b receipt.Attestation) int { return a.AttestationID.Compare(b.AttestationID) }
	slices.SortFunc(t.Against, byID)
	counts := map[[32]byte]bool{}
	for _, v := range trusted {
		n := 0
		for _, k := range v.Keys {
			if _, ok := made[k.Key]; ok {
				n++
			}
		}
		for _, k := range v.Keys {
			if _, ok := made[k.Key]; ok && n >= max(v.Threshold, 1) {
				counts[k.Key] = true
			}
		}
	}
	for key := range counts {
		t.Counted = append(t.Counted, made[key])
	}
	slices.SortFunc(t.Counted, byID)
	t.sortOthers(trusted, counts)
	return t
}

// sortOthers tells the claim's verifiers that do not count apart.
func (t *Tally) sortOthers(trusted []Verifiers, counts map[[32]byte]bool) {
	seen := map[[32]byte]bool{}
	for _, k := range t.Claim.Verifiers {
		if counts[k.Key] || seen[k.Key] {
			continue
		}
		seen[k.Key] = true
		if slices.ContainsFunc(trusted, func(v Verifiers) bool { return slices.ContainsFunc(v.Keys, k.Equal) }) {
			t.Able = append(t.Able, k)
		} else {
			t.Untrusted = append(t.Untrusted, k)
		}
	}
}

// latest returns, for each key, its last word on a claim type: of those with the
// same time the one with the lowest result.
func latest(kind uint8, list []receipt.Attestation, now int64) map[[32]byte]receipt.Attestation {
	last := map[[32]byte]receipt.Attestation{}
	for _, a := range list {
		if a.ClaimType != kind || a.TimeObserved > now || a.Signer.Scheme != sig.Ed25519 {
			continue
		}
		old, ok := last[a.Signer.Key]
		if !ok || a.TimeObserved > old.TimeObserved || a.TimeObserved == old.TimeObserved && a.Result < old.Result {
			last[a.Signer.Key] = a
		}
	}
	return last
}

// Count holds attestations against every claim of a policy, in their order.
func (x *Policy) Count(list []receipt.Attestation, trusted []Verifiers, now int64) []Tally {
	tallies := make([]Tally, len(x.Claims))
	for i := range x.Claims {
		tallies[i] = x.Claims[i].Count(list, trusted, now)
	}
	return tallies
}

// Evidence returns the ids of the attestations that counted in some tallies, as a
// PromotionRecord holds them: ascending, none twice.
func Evidence(tallies []Tally) []cid.Hash {
	ids := []cid.Hash{}
	for i := range tallies {
		for _, a := range tallies[i].Counted {
			ids = append(ids, a.AttestationID)
		}
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	return slices.Compact(ids)
}
