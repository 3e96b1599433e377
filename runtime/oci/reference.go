package oci

import (
	"strings"

	"oras.land/oras-go/v2/registry"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Reference names an artifact: oci://HOST/REPOSITORY, with :TAG or @sha256:HEX.
type Reference struct {
	Repository string // HOST/REPOSITORY
	Name       string // a tag or a digest; "" if neither is given
}

// ParseReference reads a reference with or without "oci://".
func ParseReference(text string) (Reference, error) {
	rest, _ := strings.CutPrefix(text, "oci://")
	r, err := registry.ParseReference(rest)
	if err != nil || r.Repository == "" {
		return Reference{}, fault.New(ErrReference, "%.200q is not oci://HOST/REPOSITORY:TAG", text)
	}
	return Reference{Repository: r.Registry + "/" + r.Repository, Name: r.Reference}, nil
}

// TagOf returns the tag of a package's version: a tag has no "+".
func TagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }
