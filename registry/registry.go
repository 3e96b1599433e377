// Package registry is the registry service of RFC-MYTHOS-0011 §4 as an HTTP
// handler: objects by CID, names and versions, attestations. It checks hashes and
// signatures and runs nothing. Objects live in any remote.Remote, names in an
// index.Index; several services over the same two are one registry.
//
// A request passes, in this order: the rate of its client (rate.go), the limit of
// requests at a time, who may (access.go, proof.go), and its handler (objects.go,
// names.go, attestations.go). What fails is answered by one JSON error with a
// stable code (answer.go); everything is counted and logged (observe.go).
package registry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
)

// Codes of this package.
const (
	ErrRequest    fault.Code = "registry_request"    // a request that is not of the form that it must have
	ErrLength     fault.Code = "registry_length"     // a PUT without Content-Length
	ErrMethod     fault.Code = "registry_method"     // a path that has no such method
	ErrPath       fault.Code = "registry_path"       // a path that nothing is at
	ErrBusy       fault.Code = "registry_busy"       // as many requests as may be are being served
	ErrRate       fault.Code = "registry_rate"       // a client that asks too often
	ErrDraining   fault.Code = "registry_draining"   // the service is ending
	ErrAccess     fault.Code = "registry_access"     // no credentials, or none that count
	ErrForbidden  fault.Code = "registry_forbidden"  // credentials without that right
	ErrProof      fault.Code = "registry_proof"      // a proof for another request than the one that it came with
	ErrToken      fault.Code = "registry_token"      // a file of tokens, a name or a right that is not of its form
	ErrNoToken    fault.Code = "registry_no_token"   // no token of that name
	ErrIncomplete fault.Code = "closure_incomplete"  // a manifest of whose closure something is missing
	ErrPublisher  fault.Code = "publisher_signature" // a publisher who did not sign the manifest
)

// Defaults of Options.
const (
	defaultMaxObject   = 5 << 30 // bytes
	defaultMaxRequests = 256
	defaultPatience    = time.Minute
)

const (
	readyFor  = time.Second      // that an answer of /readyz is kept
	readyTime = 10 * time.Second // for storage and index to answer it
)

// Options is what a service works with.
type Options struct {
	Objects remote.Remote    // required
	Index   index.Index      // required
	Clock   func() time.Time // required
	Access  *Access          // nil: everybody reads and nobody writes

	MaxObject   int64         // greatest size of an object in bytes; 0: 5 GiB
	MaxRequests int           // at a time; 0: 256
	Patience    time.Duration // how long a client may be without progress; 0: a minute
	// Rate is how many requests a second an address may make in the mean, and Burst
	// how many at once. Rate 0: no limit; Burst 0: those of two seconds.
	Rate  float64
	Burst int

	// OCI serves /v2/, under the same rules of who may: reading by GET and HEAD,
	// writing by the rest. Nil: nothing is there.
	OCI http.Handler

	// Log is told of every request; nil: nobody is.
	Log *slog.Logger
	// Failed is told of errors that are the service's own, with what was asked; may
	// be nil.
	Failed func(r *http.Request, err error)
}

// Service is a registry. It is safe for concurrent use.
type Service struct {
	Options
	access  atomic.Pointer[Access]
	slots   chan struct{}
	limiter *limiter
	metrics *metrics
	drain   chan struct{} // closed by Drain

	readiness readiness
}

// readiness is the last answer of /readyz.
type readiness struct {
	turn chan struct{} // holds a value while somebody uses the rest
	at   time.Time
	err  error
}

// New returns a service.
func New(o Options) *Service {
	if o.MaxObject == 0 {
		o.MaxObject = defaultMaxObject
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = defaultMaxRequests
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Access == nil {
		o.Access = &Access{}
	}
	s := &Service{
		Options: o, slots: make(chan struct{}, o.MaxRequests), limiter: newLimiter(o.Rate, o.Burst),
		metrics: newMetrics(o.Clock()), drain: make(chan struct{}),
		readiness: readiness{turn: make(chan struct{}, 1)},
	}
	s.access.Store(o.Access)
	return s
}

// SetAccess says anew who may do what, for all requests from now on.
func (s *Service) SetAccess(a *Access) { s.access.Store(a) }

// Drain makes /readyz say that the service is ending. It is called once.
func (s *Service) Drain() { close(s.drain) }

// Handler returns the service's handler.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /objects/{cid}":          {s.getObject, read, "objects"},
		"PUT /objects/{cid}":          {s.putObject, write, "objects"},
		"POST /has":                   {s.has, read, "has"},
		"GET /names/{path...}":        {s.getVersion, read, "names"},
		"PUT /names/{path...}":        {s.publish, publish, "names"},
		"GET /versions/{name...}":     {s.versions, read, "versions"},
		"GET /packages/{id}":          {s.getPackage, read, "packages"},
		"POST /attestations":          {s.attest, write, "attestations"},
		"GET /attestations/{subject}": {s.attestations, read, "attestations"},
		"GET /metrics":                {s.showMetrics, read, "metrics"},
		"/":                           {s.nothing, read, "nothing"},
	} {
		mux.Handle(pattern, s.guard(h))
	}
	if s.OCI != nil {
		mux.Handle("GET "+ociPath, s.guard(handler{s.serveOCI, read, "oci"}))
		mux.Handle(ociPath, s.guard(handler{s.serveOCI, write, "oci"}))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, health{"mythos.registry.health/1", "ok"}) })
	mux.HandleFunc("GET /readyz", s.ready)
	return mux
}

// ociPath is where the OCI distribution API begins.
const ociPath = "/v2/"

// AllowsOCI refuses a request below /v2/ that may not read or write: what asks for
// more than its method says, that handler asks here.
func (s *Service) AllowsOCI(r *http.Request, writes bool) error {
	needs := read
	if writes {
		needs = write
	}
	_, err := s.access.Load().allows(r, needs, s.Clock())
	return err
}

func (s *Service) serveOCI(w http.ResponseWriter, r *http.Request) error {
	s.OCI.ServeHTTP(w, r)
	return nil
}

// handler serves a request for which its caller needs a right.
type handler struct {
	serve func(http.ResponseWriter, *http.Request) error
	needs right
	route string // in metrics
}

// guard bounds the requests that are served, asks who may, and answers with the
// error.
func (s *Service) guard(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := s.observe(w, r, h.route)
		defer seen.end()
		release, err := s.admit(seen, r)
		if err == nil {
			defer release()
			seen.who, err = s.access.Load().allows(r, h.needs, s.Clock())
		}
		if err == nil {
			err = h.serve(seen, r)
		}
		if err != nil {
			s.fail(seen, r, err)
		}
	})
}

// admit takes a place among the requests that are served.
func (s *Service) admit(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	if wait := s.limiter.wait(r.RemoteAddr, s.Clock()); wait > 0 {
		retryAfter(w, wait)
		return nil, fault.New(ErrRate, "more than %g requests a second", s.Rate)
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	default:
		retryAfter(w, time.Second)
		return nil, fault.New(ErrBusy, "%d requests are being served", s.MaxRequests)
	}
}

type health struct {
	Schema string `json:"schema"`
	Status string `json:"status"`
}

func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	err := s.canServe(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, health{"mythos.registry.health/1", "ready"})
}

// canServe says whether the service can serve, as it was at most a second ago.
func (s *Service) canServe(ctx context.Context) error {
	select {
	case <-s.drain:
		return fault.New(ErrDraining, "this registry is ending")
	default:
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case s.readiness.turn <- struct{}{}:
	}
	defer func() { <-s.readiness.turn }()
	if now := s.Clock(); now.Sub(s.readiness.at) >= readyFor {
		s.readiness.at, s.readiness.err = now, s.askStorage(ctx)
	}
	return s.readiness.err
}

// askStorage asks for an object that need not be there. The answer is for others too,
// so it does not end with who asked first.
func (s *Service) askStorage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
	defer cancel()
	if _, err := remote.Size(ctx, s.Objects, cid.Sum(nil)); err != nil && !errors.Is(err, cas.ErrNotFound) {
		return err
	}
	return s.Index.Ping(ctx)
}

// nothing answers for paths and methods that are not there.
func (s *Service) nothing(_ http.ResponseWriter, r *http.Request) error {
	for _, known := range []string{"/objects/", "/has", "/names/", "/versions/", "/packages/", "/attestations", "/metrics", "/healthz", "/readyz"} {
		if strings.HasPrefix(r.URL.Path, known) {
			return fault.New(ErrMethod, "%s is not for %.40s", r.Method, known).About(r.URL.Path)
		}
	}
	return fault.New(ErrPath, "a registry has nothing there").About(r.URL.Path)
}
