package registry

import (
	"net/http"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/remote"
)

func (s *Service) attest(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Attestation cid.Hash `json:"attestation"`
	}
	if err := readJSON(r, maxNameBody, &ask); err != nil {
		return err
	}
	raw, err := remote.Fetch(r.Context(), s.Objects, ask.Attestation, remote.MaxAttestation)
	if err != nil {
		return incomplete(err)
	}
	a, _, err := receipt.OpenAttestation(raw)
	if err != nil {
		return err
	}
	if err := s.Index.Attest(r.Context(), a.SubjectHash, ask.Attestation); err != nil {
		return err
	}
	s.send(w, http.StatusCreated, struct {
		Schema      string   `json:"schema"`
		Subject     cid.Hash `json:"subject"`
		Attestation cid.Hash `json:"attestation"`
	}{"mythos.registry.attestation/1", a.SubjectHash, ask.Attestation})
	return nil
}

func (s *Service) attestations(w http.ResponseWriter, r *http.Request) error {
	subject, err := parseCID(r.PathValue("subject"))
	if err != nil {
		return err
	}
	var after cid.Hash
	if text := r.URL.Query().Get("after"); text != "" {
		if after, err = parseCID(text); err != nil {
			return err
		}
	}
	list, err := s.Index.Attestations(r.Context(), subject, after, maxPage+1)
	if err != nil {
		return err
	}
	page := append([]cid.Hash{}, list[:min(len(list), maxPage)]...)
	s.answer(w, r, struct {
		Schema       string     `json:"schema"`
		Attestations []cid.Hash `json:"attestations"`
		More         bool       `json:"more"`
	}{"mythos.registry.attestations/1", page, len(list) > maxPage})
	return nil
}
