package node

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3"
	"github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// Codes of remotes.
const (
	ErrNoRemotes fault.Code = "remote_none"      // nothing says where to pull from
	ErrPlainHTTP fault.Code = "remote_plaintext" // a connection without TLS to another machine
)

// RemoteOptions says how remotes are reached.
type RemoteOptions struct {
	// Insecure allows connections without TLS to other machines.
	Insecure bool
	// Getenv reads the environment, for credentials; nil: there is none.
	Getenv func(string) string
}

func (o RemoteOptions) env(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// Remote is a remote that a URL names.
type Remote struct {
	transfer.Named
	Index remote.Index // nil for OCI registries, whose tags are no index

	oci *oci.Registry // nil for others
	tag string        // or digest, of an OCI reference; "": none
}

// userAgent is how requests call us.
const userAgent = "mythos"

// OpenRemote opens the remote that a URL names (RFC-MYTHOS-0011 §2), with the
// credentials that this user has for it. It asks nothing of it. The caller closes it.
func (n *Node) OpenRemote(ctx context.Context, address string, o RemoteOptions) (*Remote, error) {
	all, err := n.openRemotes(ctx, []string{address}, o)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// openRemotes opens remotes in their order. MYTHOS_REGISTRY_TOKEN is for one
// registry: where several are asked, none of them gets it.
func (n *Node) openRemotes(ctx context.Context, addresses []string, o RemoteOptions) (all []*Remote, err error) {
	creds, err := n.Credentials()
	if err != nil {
		return nil, err
	}
	hosts := map[string]bool{}
	places := make([]*url.URL, len(addresses))
	for i, text := range addresses {
		if places[i], err = parseRemote(text); err != nil {
			return nil, err
		}
		if isHTTP(places[i]) {
			hosts[credentialKey(places[i])] = true
		}
	}
	if len(hosts) == 1 {
		creds.token = o.env("MYTHOS_REGISTRY_TOKEN")
	}
	for i, u := range places {
		r, err := open(ctx, u, creds, o)
		if err != nil {
			return nil, errors.Join(aboutRemote(addresses[i], err), closeAll(all))
		}
		r.Name = addresses[i]
		all = append(all, r)
	}
	return all, nil
}

func aboutRemote(address string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(address)
	}
	return err
}

func closeAll(all []*Remote) error {
	var errs []error
	for _, r := range all {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// parseRemote reads a URL of a remote, and refuses one with a password in it
// without repeating it.
func parseRemote(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		if !strings.ContainsRune(text, filepath.Separator) {
			return nil, fault.New(remote.ErrURL, "it is neither a URL nor a path with a slash in it")
		}
		path, err := filepath.Abs(text)
		if err != nil {
			return nil, fault.New(remote.ErrURL, "%w", err)
		}
		return &url.URL{Scheme: "folder", Path: path}, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fault.New(remote.ErrURL, "it cannot be read as a URL") // whose error repeats what may be a password
	case u.User != nil:
		return nil, fault.New(remote.ErrURL, "credentials stand in it; take them out, and give them to mythos login or in the environment").About(u.Scheme + "://" + u.Host)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, fault.New(remote.ErrURL, "a remote has no query and no fragment").About(u.Scheme + "://" + u.Host)
	case !slices.Contains([]string{"folder", "file", "s3", "azblob", "http", "https", "oci"}, u.Scheme):
		return nil, fault.New(remote.ErrURL, "%q is no kind of remote", u.Scheme)
	case isFolder(u) != (u.Host == ""), isFolder(u) && u.Path == "":
		return nil, fault.New(remote.ErrURL, "it has the form folder:///PATH, and others SCHEME://HOST").About(text)
	}
	return u, nil
}

func isFolder(u *url.URL) bool { return u.Scheme == "folder" || u.Scheme == "file" }

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

func open(ctx context.Context, u *url.URL, creds *Credentials, o RemoteOptions) (*Remote, error) {
	var b bucket.Bucket
	var err error
	switch u.Scheme {
	case "folder", "file":
		b = folder.Open(filepath.FromSlash(u.Path))
	case "s3":
		b, err = openS3(u, o)
	case "azblob":
		b, err = openAzure(u, o)
	case "oci":
		return openOCI(ctx, u, creds, o)
	default:
		return openRegistry(u, creds, o)
	}
	if err != nil {
		return nil, err
	}
	r := remote.Over(b)
	return &Remote{Named: transfer.Named{Remote: r}, Index: r}, nil
}

func openRegistry(u *url.URL, creds *Credentials, o RemoteOptions) (*Remote, error) {
	if err := mayBePlain(u, o); err != nil {
		return nil, err
	}
	r := registry.Open(registry.Config{URL: u, Token: cmp.Or(creds.of(u).Token, creds.token), UserAgent: userAgent})
	return &Remote{Named: transfer.Named{Remote: r}, Index: r}, nil
}

func openS3(u *url.URL, o RemoteOptions) (bucket.Bucket, error) {
	at, err := endpoint(cmp.Or(o.env("AWS_ENDPOINT_URL_S3"), o.env("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com"), "AWS_ENDPOINT_URL", o)
	if err != nil {
		return nil, err
	}
	if at.Path != "" && at.Path != "/" {
		return nil, fault.New(remote.ErrURL, "an endpoint of S3 has no path").About("AWS_ENDPOINT_URL")
	}
	return s3.Open(s3.Config{
		Endpoint: at.Host, Insecure: at.Scheme == "http", Region: cmp.Or(o.env("AWS_REGION"), o.env("AWS_DEFAULT_REGION")),
		Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"),
		AccessKey: o.env("AWS_ACCESS_KEY_ID"), SecretKey: o.env("AWS_SECRET_ACCESS_KEY"), SessionToken: o.env("AWS_SESSION_TOKEN"),
		Transport: remote.Client().Transport,
	})
}

func openAzure(u *url.URL, o RemoteOptions) (bucket.Bucket, error) {
	account := o.env("AZURE_STORAGE_ACCOUNT")
	service := o.env("AZURE_STORAGE_ENDPOINT")
	if account == "" {
		return nil, fault.New(bucket.ErrDenied, "AZURE_STORAGE_ACCOUNT names no account")
	}
	at, err := endpoint(cmp.Or(service, "https://"+account+".blob.core.windows.net"), "AZURE_STORAGE_ENDPOINT", o)
	if err != nil {
		return nil, err
	}
	return azure.Open(azure.Config{
		Service: strings.TrimSuffix(at.String(), "/"), Account: account, Key: o.env("AZURE_STORAGE_KEY"),
		Container: u.Host, Prefix: strings.Trim(u.Path, "/"), Transporter: remote.Client(),
	})
}

// endpoint reads the address of a server from the environment.
func endpoint(text, name string, o RemoteOptions) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !isHTTP(u) || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fault.New(remote.ErrURL, "it is not of the form https://HOST").About(name)
	}
	if err := mayBePlain(u, o); err != nil {
		return nil, aboutRemote(name, err)
	}
	return u, nil
}

// isBucketFolder reports whether a path is a folder with objects as a remote has
// them, and nothing else that could be meant.
func isBucketFolder(path string) bool {
	return strings.ContainsRune(path, filepath.Separator) && isFolderOf(path, "objects") && !local.IsStore(path) &&
		!isFolderOf(path, "manifest.bin") && !oci.IsLayout(path)
}

func isFolderOf(path, name string) bool {
	_, err := os.Stat(filepath.Join(path, name))
	return err == nil
}

// remoteSource gives the objects of a remote to whoever checks them.
type remoteSource struct {
	remote.Remote
	patience time.Duration // beside a second for each 32 KiB of an object; 0: two minutes
}

// Open implements cas.Source. The object has its time, and ends in an error after it.
func (s remoteSource) Open(ctx context.Context, id cid.Hash) (_ io.ReadCloser, size int64, err error) {
	err = bucket.Timely(ctx, s.patience, 0, func(ctx context.Context) error {
		size, err = s.Head(ctx, id)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := bucket.Within(ctx, s.patience, size)
	rc, err := s.Get(ctx, id, 0, -1)
	if err != nil {
		cancel()
		return nil, 0, err
	}
	return timedObject{rc, cancel}, size, nil
}

type timedObject struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (o timedObject) Close() error {
	defer o.cancel()
	return o.ReadCloser.Close()
}
