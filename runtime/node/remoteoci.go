package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	closures "github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// probeTime bounds how long a server of this machine may take to say whether it
// speaks TLS.
const probeTime = 5 * time.Second

// openOCI opens oci://HOST/REPOSITORY, with :TAG or @DIGEST behind it if a package
// in it is meant.
func openOCI(ctx context.Context, u *url.URL, creds *Credentials, o RemoteOptions) (*Remote, error) {
	ref, err := oci.ParseReference(u.Scheme + "://" + u.Host + u.Path)
	if err != nil {
		return nil, err
	}
	c := creds.of(u)
	r, err := oci.OpenRegistry(oci.Config{
		Repository: ref.Repository, PlainHTTP: o.Insecure || isLoopback(u) && !speaksTLS(ctx, u.Host),
		Username: c.Username, Password: c.Password, Token: c.Token, UserAgent: userAgent,
	})
	if err != nil {
		return nil, err
	}
	return &Remote{Named: transfer.Named{Remote: r}, oci: r, tag: ref.Name}, nil
}

// mayBePlain refuses a connection without TLS to another machine.
func mayBePlain(u *url.URL, o RemoteOptions) error {
	if u.Scheme != "http" || o.Insecure || isLoopback(u) {
		return nil
	}
	return fault.New(ErrPlainHTTP, "plain http is for this machine's own addresses")
}

func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// speaksTLS reports whether a server of this machine does. One that cannot be
// asked is taken to: then nothing is sent in the clear.
func speaksTLS(ctx context.Context, host string) bool {
	if _, _, err := net.SplitHostPort(host); err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	// It is only asked what it speaks; nothing is sent over this connection.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // see above
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err == nil {
		_ = conn.Close() // nothing was said
		return true
	}
	var plain tls.RecordHeaderError
	return !errors.As(err, &plain)
}

// tagOCI names a package whose objects an OCI registry has, and returns the digest of
// its artifact. A tag that the URL names is moved; that of a version stands for one
// package for ever, as far as OCI, which has no conditional write, lets a client see
// to it: the tag is resolved before and after.
func (r *Remote) tagOCI(ctx context.Context, id cid.Hash, version string) (cid.Hash, error) {
	tag := r.tag
	if tag == "" {
		tag = oci.TagOf(version)
		stands, artifact, err := r.oci.Resolve(ctx, tag)
		switch {
		case err == nil && stands == id:
			return artifact, nil
		case err == nil:
			return cid.Hash{}, fault.New(remote.ErrTaken, "tag %s stands for manifest %s", tag, stands).About(r.Name)
		case !errors.Is(err, cas.ErrNotFound):
			return cid.Hash{}, err
		}
	}
	if strings.HasPrefix(tag, "sha256:") {
		return cid.Hash{}, fault.New(oci.ErrReference, "a digest is given by the registry; name a tag, or none").About(r.Name)
	}
	artifact, err := r.oci.Tag(ctx, r.get, id, tag)
	if err != nil || r.tag != "" {
		return artifact, err
	}
	stands, _, err := r.oci.Resolve(ctx, tag)
	if err == nil && stands != id {
		err = fault.New(remote.ErrTaken, "tag %s was given to manifest %s at the same time", tag, stands).About(r.Name)
	}
	return artifact, err
}

// get reads a verified object.
func (r *Remote) get(ctx context.Context, id cid.Hash, limit int64) (raw []byte, err error) {
	err = bucket.Timely(ctx, 0, limit, func(ctx context.Context) error {
		raw, err = remote.Fetch(ctx, r, id, limit)
		return err
	})
	return raw, err
}

// artifactOf returns the digest of a package's OCI artifact.
func artifactOf(ctx context.Context, get closures.Source, id cid.Hash) (cid.Hash, error) {
	raw, err := oci.Package(ctx, get, id)
	return cid.Sum(raw), err
}
