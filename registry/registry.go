// Package registry is the registry service of RFC-MYTHOS-0011 §4 as an HTTP
// handler: objects by CID, names and versions, attestations. It checks hashes and
// signatures and runs nothing. Objects live in any remote.Remote, names in an
// index.Index; several services over the same two are one registry.
//
// A request passes, in this order: the limit of requests at a time, who may
// (access.go), and its handler (objects.go, names.go, attestations.go). What
// fails is answered by one JSON error with a stable code (answer.go).
package registry

import (
	"net/http"
	"time"

	"github.com/mythos-run/mythos/registry/index"
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
	ErrDraining   fault.Code = "registry_draining"   // the service is ending
	ErrAccess     fault.Code = "registry_access"     // no credentials, or none that count
	ErrForbidden  fault.Code = "registry_forbidden"  // credentials without that right
	ErrIncomplete fault.Code = "closure_incomplete"  // a manifest of whose closure something is missing
	ErrPublisher  fault.Code = "publisher_signature" // a publisher who did not sign the manifest
)

// Defaults of Options.
const (
	defaultMaxObject   = 5 << 30 // bytes
	defaultMaxRequests = 256
)

// Options is what a service works with.
type Options struct {
	Objects remote.Remote    // required
	Index   index.Index      // required
	Clock   func() time.Time // required
	Access  *Access          // nil: everybody reads and nobody writes

	MaxObject   int64 // greatest size of an object in bytes; 0: 5 GiB
	MaxRequests int   // at a time; 0: 256

	// Failed is told of errors that are the service's own, with what was asked; may
	// be nil.
	Failed func(r *http.Request, err error)
}

// Service is a registry. It is safe for concurrent use.
type Service struct {
	Options
	slots chan struct{}
	drain chan struct{} // closed by Drain
}

// New returns a service.
func New(o Options) *Service {
	if o.MaxObject == 0 {
		o.MaxObject = defaultMaxObject
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = defaultMaxRequests
	}
	if o.Access == nil {
		o.Access = &Access{}
	}
	return &Service{Options: o, slots: make(chan struct{}, o.MaxRequests), drain: make(chan struct{})}
}

// Drain makes /readyz say that the service is ending. It is called once.
func (s *Service) Drain() { close(s.drain) }

// Handler returns the service's handler.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET /objects/{cid}":          {s.getObject, read},
		"PUT /objects/{cid}":          {s.putObject, write},
		"POST /has":                   {s.has, read},
		"GET /names/{path...}":        {s.getVersion, read},
		"PUT /names/{path...}":        {s.publish, publish},
		"GET /versions/{name...}":     {s.versions, read},
		"GET /packages/{id}":          {s.getPackage, read},
		"POST /attestations":          {s.attest, write},
		"GET /attestations/{subject}": {s.attestations, read},
		"/":                           {s.nothing, read},
	} {
		mux.Handle(pattern, s.guard(h))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, health{"mythos.registry.health/1", "ok"}) })
	mux.HandleFunc("GET /readyz", s.ready)
	return mux
}

// handler serves a request for which its caller needs a right.
type handler struct {
	serve func(http.ResponseWriter, *http.Request) error
	needs right
}

// guard bounds the requests that are served at a time, asks who may, and answers
// with the error.
func (s *Service) guard(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			w.Header().Set("Retry-After", "1")
			s.fail(w, r, fault.New(ErrBusy, "%d requests are being served", s.MaxRequests))
			return
		}
		err := s.Access.allows(r, h.needs, s.Clock())
		if err == nil {
			err = h.serve(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

type health struct {
	Schema string `json:"schema"`
	Status string `json:"status"`
}

func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.drain:
		s.fail(w, r, fault.New(ErrDraining, "this registry is ending"))
		return
	default:
	}
	if err := s.Index.Ping(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, health{"mythos.registry.health/1", "ready"})
}

// nothing answers for paths and methods that are not there.
func (s *Service) nothing(_ http.ResponseWriter, r *http.Request) error {
	for _, known := range []string{"/objects/", "/has", "/names/", "/versions/", "/packages/", "/attestations"} {
		if len(r.URL.Path) >= len(known) && r.URL.Path[:len(known)] == known {
			return fault.New(ErrMethod, "%s is not for %.40s", r.Method, known).About(r.URL.Path)
		}
	}
	return fault.New(ErrPath, "a registry has nothing there").About(r.URL.Path)
}
