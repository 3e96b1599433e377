package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/ociapi"
	"github.com/mythos-run/mythos/runtime/node"
)

type serveOptions struct {
	*app
	listen, dir     string
	storage         string
	index, schema   string
	passwordFile    string
	insecure        bool
	tlsCert, tlsKey string

	open, private, proofs bool
	tokens                string
	origins               []string

	maxObject   int64
	maxRequests int
	rate        float64
	burst       int
	patience    time.Duration
	drain       time.Duration

	log  string
	json bool
}

func newRegistryServe(a *app) *cobra.Command {
	o := &serveOptions{app: a}
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve packages to others", Args: args(cobra.NoArgs),
		Long: `Serve objects, names and attestations over HTTP (RFC-MYTHOS-0011 §4) until it is
interrupted or gets SIGTERM; then finish what runs. One line on standard output says
that it serves, and where; everything else goes to standard error.

Everybody may read, unless --private is given. Writing needs a token of "mythos
registry token new", or with --proofs a capability proof of an authority that this
user trusts. With --open whoever asks from this machine may write; it then listens on
a loopback address only.

Objects and index are in --dir. --storage keeps the objects in a bucket instead, a
folder or path, s3:// or azblob://, with credentials from the environment as "mythos
push" takes them. --index postgres://... keeps the index in PostgreSQL. With both, any
number of registries serve the same packages.`,
		Example: "  mythos registry serve --listen 127.0.0.1:7070 --dir ./registry --open\n" +
			"  mythos registry serve --listen :8443 --tls-cert cert.pem --tls-key key.pem --rate 50\n" +
			"  mythos registry serve --storage s3://packages --index postgres://mythos@db/registry",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.serve(cmd.Context()) },
	}
	o.bind(cmd)
	return exits(cmd, 4, 7)
}

func (o *serveOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:7070", "the `ADDRESS` to listen on; port 0 is any that is free")
	f.StringVar(&o.dir, "dir", "", "the `FOLDER` of objects and index; without it registry among this user's data")
	f.StringVar(&o.storage, "storage", "", "the `URL` of a bucket for the objects: a path, folder://, s3:// or azblob://")
	f.StringVar(&o.index, "index", "", "the `ADDRESS` of a PostgreSQL database for the index, postgres://user@host/database")
	f.StringVar(&o.schema, "index-schema", "mythos_registry", "the schema of its tables")
	f.StringVar(&o.passwordFile, "index-password-file", "", "the `FILE` with its password; without it what libpq uses, such as PGPASSFILE")
	f.BoolVar(&o.insecure, "insecure", false, "reach a bucket on another machine without TLS")
	f.StringVar(&o.tlsCert, "tls-cert", "", "the `FILE` of the certificate chain, PEM")
	f.StringVar(&o.tlsKey, "tls-key", "", "the `FILE` of its key, PEM")
	f.BoolVar(&o.open, "open", false, "whoever asks from this machine may write")
	f.BoolVar(&o.private, "private", false, "reading needs a token too")
	f.StringVar(&o.tokens, "tokens", "", "the `FILE` of tokens; without it registry-tokens.json among the settings, if it is there")
	f.BoolVar(&o.proofs, "proofs", false, "capability proofs of this user's trusted authorities count")
	f.StringArrayVar(&o.origins, "origin", nil, "a `URL` that clients call this registry by, for proofs; may be repeated")
	f.Int64Var(&o.maxObject, "max-object", 5<<30, "greatest size of an object in bytes")
	f.IntVar(&o.maxRequests, "max-requests", 256, "requests that are served at a time")
	f.Float64Var(&o.rate, "rate", 0, "requests a second of one address, in the mean; 0: no limit")
	f.IntVar(&o.burst, "burst", 0, "requests of one address at once; 0: those of two seconds")
	f.DurationVar(&o.patience, "patience", time.Minute, "how long a client may be without progress, or below 16 KiB a second")
	f.DurationVar(&o.drain, "drain", 30*time.Second, "how long requests may go on at the end")
	f.StringVar(&o.log, "log", "none", "tell of every request on standard error in this `FORMAT`: none, text or json")
	f.BoolVar(&o.json, "json", false, "print the line as one JSON object")
}

// check refuses what no registry can be made of.
func (o *serveOptions) check() error {
	switch {
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usagef("--tls-cert and --tls-key go together")
	case o.passwordFile != "" && o.index == "":
		return usagef("--index-password-file is for --index")
	case o.open && o.private:
		return usagef("--open lets everybody write who may reach it; leave out --private")
	case o.maxObject <= 0 || o.maxRequests <= 0 || o.rate < 0 || o.burst < 0 || o.patience <= 0 || o.drain <= 0:
		return usagef("limits are above 0")
	case o.log != "none" && o.log != "text" && o.log != "json":
		return usagef("--log %q: must be none, text or json", o.log)
	}
	return nil
}

// checkTLS refuses a certificate that does not serve, before anybody is told that the
// registry does.
func (o *serveOptions) checkTLS() error {
	if o.tlsCert == "" {
		return nil
	}
	_, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	var unread *fs.PathError
	switch {
	case errors.As(err, &unread):
		return inputError(unread.Path, err)
	case err != nil:
		return usagef("--tls-cert and --tls-key: %w", err)
	}
	return nil
}

func (o *serveOptions) serve(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := o.checkTLS(); err != nil {
		return err
	}
	if err := o.folder(); err != nil {
		return err
	}
	return o.withNode(func(n *node.Node) (err error) {
		listener, err := registry.Listen(ctx, o.listen, o.open)
		if err != nil {
			return err
		}
		place, err := o.openPlace(ctx, n)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer func() { err = errors.Join(err, place.Close()) }()
		return o.run(ctx, n, listener, place)
	})
}

// folder finds the folder of a registry that names none.
func (o *serveOptions) folder() error {
	if o.dir != "" {
		return nil
	}
	paths, err := config.Find(o.Getenv)
	o.dir = filepath.Join(paths.Data, "registry")
	return err
}

func (o *serveOptions) run(ctx context.Context, n *node.Node, listener net.Listener, place *place) error {
	url := o.url(listener)
	access, err := o.newAccess(n, url)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	first, err := access.read()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	failed := func(r *http.Request, err error) { o.note("%s %s: %v", r.Method, r.URL.Path, err) }
	var s *registry.Service
	oci := ociapi.New(ociapi.Options{
		Objects: place.objects, Catalog: place.catalog, Staging: place.staging, Clock: o.Clock, MaxBlob: o.maxObject, Failed: failed,
		Authorise: func(r *http.Request, writes bool) error { return s.AllowsOCI(r, writes) },
	})
	s = registry.New(registry.Options{
		Objects: place.objects, Index: place.index, Clock: o.Clock, Access: first, Log: o.logger(), Failed: failed, OCI: oci,
		MaxObject: o.maxObject, MaxRequests: o.maxRequests, Patience: o.patience, Rate: o.rate, Burst: o.burst,
	})
	if !o.open && !o.proofs && len(first.Tokens) == 0 {
		o.note("nobody may write to it; see --open, and mythos registry token new")
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { access.watch(watching, s.SetAccess) })
	watch.Go(func() { o.sweep(watching, oci) })
	defer watch.Wait()
	defer stop()
	if err := o.announce(url); err != nil {
		return errors.Join(err, listener.Close())
	}
	return s.Serve(ctx, registry.ServeOptions{Listener: listener, CertFile: o.tlsCert, KeyFile: o.tlsKey, Drain: o.drain})
}

// sweepAge is how often uploads that nobody goes on with are given up.
const sweepAge = 10 * time.Minute

// sweep removes what uploads left, now and again until ctx ends.
func (o *serveOptions) sweep(ctx context.Context, oci *ociapi.API) {
	tick := time.NewTicker(sweepAge)
	defer tick.Stop()
	for {
		if err := oci.Sweep(ctx); err != nil && ctx.Err() == nil {
			o.note("remove what uploads left: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// url is where the registry is reached from this machine.
func (o *serveOptions) url(l net.Listener) string {
	scheme := "http://"
	if o.tlsCert != "" {
		scheme = "https://"
	}
	return scheme + l.Addr().String()
}

func (o *serveOptions) logger() *slog.Logger {
	switch o.log {
	case "text":
		return slog.New(slog.NewTextHandler(o.Err, nil))
	case "json":
		return slog.New(slog.NewJSONHandler(o.Err, nil))
	}
	return nil
}

// announce prints the one line that says that connections are taken.
func (o *serveOptions) announce(url string) error {
	if o.json {
		return o.printJSON(struct {
			Schema string `json:"schema"`
			URL    string `json:"url"`
		}{"mythos.registry.serve/1", url})
	}
	return o.printf("serving %s\n", url)
}
