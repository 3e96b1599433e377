package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// aboutRemote names the remote in an error that is one of its, and says what to type:
// the table's hints for such codes are about the local store.
func aboutRemote(address string, err error) error {
	hint := remoteHint(address, err)
	if hint == "" {
		return err
	}
	if subjectOf(err) != address {
		err = fmt.Errorf("%s: %w", address, err)
	}
	return &hinted{err, hint}
}

// remoteHint says what to do about an error of a remote, "" if it is none.
func remoteHint(address string, err error) string {
	scheme, _, isURL := strings.Cut(address, "://")
	isHTTP := scheme == "http" || scheme == "https"
	var onDisk *fs.PathError
	switch fault.CodeOf(err) {
	case remote.ErrURL:
		if !isURL && !strings.Contains(address, "@") { // which may be a password's
			return "Write https://HOST, or http://127.0.0.1:PORT for a registry of this machine; a folder has a slash in it, as ./FOLDER."
		}
	case bucket.ErrDenied:
		switch {
		case scheme == "oci":
			return "Keep what it knows you by: mythos login --username NAME " + origin(address) + ", or without --username for a token."
		case isHTTP:
			return "Its operator makes tokens (mythos registry token new); keep yours with: mythos login " + origin(address)
		}
		return "Check the credentials in the environment; mythos push --help says where they are looked for."
	case cas.ErrNotFound:
		if isHTTP && subjectOf(err) == "" { // whatever it was asked for
			return "There is no MYTHOS registry at that URL: check host and path. An OCI registry is oci://HOST/REPOSITORY."
		}
	case cas.ErrUnavailable:
		if !errors.As(err, &onDisk) {
			return unreachedHint(scheme, err)
		}
	}
	return ""
}

func unreachedHint(scheme string, err error) string {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return "This machine does not trust its certificate: check the host, or add its authority to those of this machine (on Linux SSL_CERT_FILE=cert.pem does)."
	case errors.Is(err, http.ErrSchemeMismatch):
		return "It speaks http without TLS: write http:// if it is on this machine."
	case scheme == "oci":
		return "Check the URL, whether the registry runs, and whether it knows you: mythos login oci://HOST. What has arrived there stays."
	}
	return "Check the URL, and whether the remote runs. What has arrived stays: the same command goes on from there."
}

// origin is the beginning of a URL that "mythos login" takes.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "URL"
	}
	return u.Scheme + "://" + u.Host
}

func subjectOf(err error) string {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.Subject
	}
	return ""
}

// aboutReference says of a pull that failed what the reference may have meant.
func aboutReference(ref string, from []string, err error) error {
	code := fault.CodeOf(err)
	missing := code == cas.ErrNotFound || code == remote.ErrNoVersion
	_, here := os.Stat(ref)
	switch {
	case code == remote.ErrURL && len(from) == 1:
		return aboutRemote(from[0], err)
	case strings.HasPrefix(ref, "oci://") && missing:
		return &hinted{fmt.Errorf("%s: %w", ref, err), "Check host, repository and tag: what was pushed there without a tag has its version for one."}
	case strings.HasPrefix(ref, "oci://"):
		return aboutRemote(ref, err)
	case here == nil && (missing || code == node.ErrPackageRef):
		return &hinted{err, "It is a path on this machine: mythos run and mythos verify take it as it is, and this stores it: mythos store put " + ref}
	case missing:
		return &hinted{err, missingHint(ref, from)}
	}
	return err
}

// missingHint says why remotes may lack a package.
func missingHint(ref string, from []string) string {
	for _, x := range from {
		if path := strings.TrimPrefix(x, "folder://"); !strings.Contains(path, "://") {
			if _, err := os.Stat(path); err != nil {
				return "There is no folder " + path + "."
			}
		}
	}
	switch {
	case strings.HasPrefix(ref, "sha256:"):
		return "Check the CID and the remotes: \"mythos push PACKAGE URL\" prints the CID and copies it there."
	case isID(ref):
		return "If a CID is meant, write all of it: sha256: and 64 digits."
	}
	return "Check name and version. Only \"mythos publish\" gives a package its name there; what was pushed is pulled by its CID."
}

// isID reports whether a text may be the beginning of a CID.
func isID(text string) bool {
	_, err := parseID(text)
	return err == nil
}
