// Package registry is the client of a MYTHOS registry (RFC-MYTHOS-0011 §4). It
// believes the registry nothing: objects are verified by whoever reads them
// (remote.Fetch), and what the registry says of names and attestations leads to
// objects whose signatures are checked.
package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const (
	maxAnswer  = 8 << 20  // bytes of JSON
	maxRefusal = 64 << 10 // bytes of an answer that is an error
	maxHas     = 10_000   // objects in one question
	maxPages   = 10_000

	expectFrom = 16 << 10 // bytes from which a body waits until it is asked for
)

// Config says where a registry is and who asks.
type Config struct {
	URL       *url.URL     // scheme and host, and a path before those of the registry if it has one
	Token     string       // "": none
	Client    *http.Client // nil: remote.Client
	UserAgent string
	// Patience is how long an answer other than an object may take, beside a second for
	// each 32 KiB that goes there; 0: two minutes.
	Patience time.Duration
}

// Remote is a remote.Remote and a remote.Index in a registry.
type Remote struct {
	base   string
	config Config
	client *http.Client
}

var (
	_ remote.Remote = (*Remote)(nil)
	_ remote.Index  = (*Remote)(nil)
)

// Open makes no request.
func Open(c Config) *Remote {
	r := &Remote{base: strings.TrimSuffix(c.URL.String(), "/"), config: c, client: c.Client}
	if r.client == nil {
		r.client = remote.Client()
	}
	return r
}

// Close closes connections that nobody uses.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// request is one request; body opens its body anew for each try.
type request struct {
	method, path string
	header       map[string]string
	body         func() (io.ReadCloser, error) // nil: none
	size         int64
	subject      string // for errors
}

// do performs a request, tries again what may be, and returns an answer of 2xx,
// whose body the caller closes.
func (r *Remote) do(ctx context.Context, q request) (resp *http.Response, err error) {
	err = bucket.Retry(ctx, func() (err error) {
		resp, err = r.try(ctx, q)
		return err
	})
	return resp, err
}

func (r *Remote) try(ctx context.Context, q request) (*http.Response, error) {
	hr, err := http.NewRequestWithContext(ctx, q.method, r.base+q.path, nil)
	if err != nil {
		return nil, fault.New(remote.ErrURL, "%w", err).About(q.subject)
	}
	if q.body != nil {
		if hr.Body, err = q.body(); err != nil {
			return nil, err
		}
		if hr.ContentLength = q.size; q.size == 0 {
			hr.Body = http.NoBody // a length of 0 with a body would mean that it is not known
		}
		if q.size >= expectFrom {
			hr.Header.Set("Expect", "100-continue")
		}
	}
	for k, v := range q.header {
		hr.Header.Set(k, v)
	}
	if r.config.Token != "" {
		hr.Header.Set("Authorization", "Bearer "+r.config.Token)
	}
	hr.Header.Set("User-Agent", cmp.Or(r.config.UserAgent, "mythos"))
	resp, err := r.client.Do(hr)
	if err != nil {
		return nil, bucket.Failed(q.subject, unwrapURL(err), 0, "")
	}
	switch {
	case resp.StatusCode/100 == 2:
		return resp, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && q.header["Range"] != "":
		return nil, errors.Join(errRange, resp.Body.Close())
	}
	defer resp.Body.Close()
	return nil, r.refused(ctx, q.subject, resp)
}

// unwrapURL leaves out what the message says anyway, and keeps errors of the body.
func unwrapURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// refused reads an answer that is an error. The registry's own code stands if it
// is one that a registry may give; all else goes by the status.
func (r *Remote) refused(ctx context.Context, subject string, resp *http.Response) error {
	var raw []byte
	err := bucket.Timely(ctx, r.config.Patience, 0, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = resp.Body.Close() })() // which ends the reading
		raw, _ = io.ReadAll(io.LimitReader(resp.Body, maxRefusal))       // what came serves
		return context.Cause(ctx)
	})
	if err != nil {
		return err
	}
	var p struct {
		Code, Message, Subject string
	}
	if json.Unmarshal(raw, &p) != nil || p.Code == "" || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		err := errors.New(resp.Status)
		if p.Message != "" {
			err = errors.New(clean(p.Message))
		}
		return bucket.Failed(subject, err, resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	code := fault.Code(p.Code)
	if !slices.Contains(codesOf[resp.StatusCode], code) {
		return bucket.Failed(subject, errors.New(clean(p.Message)), resp.StatusCode, "")
	}
	if resp.StatusCode == http.StatusUnauthorized || strings.HasPrefix(p.Code, "registry_forbidden") {
		code = bucket.ErrDenied
	}
	return fault.New(code, "%s", clean(p.Message)).About(cmp.Or(clean(p.Subject), subject))
}

// codesOf lists what a registry may say with a status. Any other code is its own
// matter, and the status alone counts.
var codesOf = map[int][]fault.Code{
	http.StatusBadRequest:            {"registry_request"},
	http.StatusUnauthorized:          {"registry_access"},
	http.StatusForbidden:             {"registry_forbidden", "publisher_signature"},
	http.StatusNotFound:              {cas.ErrNotFound, remote.ErrNoVersion},
	http.StatusConflict:              {remote.ErrTaken, "closure_incomplete"},
	http.StatusRequestEntityTooLarge: {cas.ErrTooLarge},
	http.StatusUnprocessableEntity:   {cas.ErrMismatch},
}

// clean makes text of others fit for a message.
func clean(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
	return text[:min(len(text), 500)]
}

// ask performs a request with a JSON body and decodes the JSON answer. Each try has its
// time.
func (r *Remote) ask(ctx context.Context, method, path, subject string, body, into any) error {
	q := request{method: method, path: path, subject: subject}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		q.size, q.header = int64(len(raw)), map[string]string{"Content-Type": "application/json"}
		q.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	}
	return bucket.Retry(ctx, func() error {
		return bucket.Timely(ctx, r.config.Patience, q.size, func(ctx context.Context) error { return r.answer(ctx, q, into) })
	})
}

func (r *Remote) answer(ctx context.Context, q request, into any) error {
	resp, err := r.try(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fault.New(cas.ErrUnavailable, "%w", err).About(q.subject)
	}
	if len(raw) > maxAnswer || json.Unmarshal(raw, into) != nil {
		return fault.New(remote.ErrLies, "the answer is not what a registry says").About(q.subject)
	}
	return nil
}

func objectPath(id cid.Hash) string { return "/objects/" + id.String() }

// Head implements remote.Remote.
func (r *Remote) Head(ctx context.Context, id cid.Hash) (int64, error) {
	resp, err := r.do(ctx, request{method: http.MethodHead, path: objectPath(id), subject: id.String()})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 {
		return 0, fault.New(remote.ErrLies, "the answer has no length").About(id.String())
	}
	return resp.ContentLength, nil
}

// Has implements remote.Remote.
func (r *Remote) Has(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	there := make([]bool, 0, len(ids))
	for part := range slices.Chunk(ids, maxHas) {
		var answer struct{ Missing []cid.Hash }
		if err := r.ask(ctx, http.MethodPost, "/has", "", map[string]any{"objects": part}, &answer); err != nil {
			return nil, err
		}
		missing := map[cid.Hash]bool{}
		for _, id := range answer.Missing {
			missing[id] = true
		}
		for _, id := range part {
			there = append(there, !missing[id])
		}
	}
	return there, nil
}

// Get implements remote.Remote.
func (r *Remote) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	q := request{method: http.MethodGet, path: objectPath(id), subject: id.String()}
	whole := off <= 0 && n < 0
	if n == 0 {
		q.method = http.MethodHead
	} else if !whole {
		q.header = map[string]string{"Range": byteRange(max(off, 0), n)}
	}
	resp, err := r.do(ctx, q)
	if errors.Is(err, errRange) {
		return http.NoBody, nil
	}
	if err != nil {
		return nil, err
	}
	if !whole && n != 0 && resp.StatusCode != http.StatusPartialContent {
		return nil, errors.Join(fault.New(remote.ErrLies, "it sent the whole for a part").About(id.String()), resp.Body.Close())
	}
	return resp.Body, nil
}

// errRange says that a range begins at the end of its object or beyond it.
var errRange = errors.New("the range is beyond the end")

func byteRange(off, n int64) string {
	last := ""
	if n > 0 {
		last = strconv.FormatInt(off+min(n, 1<<62)-1, 10)
	}
	return "bytes=" + strconv.FormatInt(off, 10) + "-" + last
}

// Put implements remote.Remote.
func (r *Remote) Put(ctx context.Context, v bucket.Value) error {
	resp, err := r.do(ctx, request{method: http.MethodPut, path: objectPath(v.Sum), subject: v.Sum.String(), body: v.Reader, size: v.Size})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// List implements remote.Remote.
func (r *Remote) List(context.Context) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		yield(remote.Object{}, fault.New(remote.ErrUnsupported, "a registry lists no objects"))
	}
}

// Delete implements remote.Remote.
func (r *Remote) Delete(context.Context, cid.Hash) error {
	return fault.New(remote.ErrUnsupported, "objects of a registry are for its operator to remove")
}

// versionAnswer is a version as a registry says it.
type versionAnswer struct {
	Version  string
	Manifest cid.Hash
}

// Publish implements remote.Index.
func (r *Remote) Publish(ctx context.Context, id cid.Hash, publishers []sig.AgentID) error {
	raw, err := remote.Fetch(ctx, r, id, manifest.MaxBytes)
	if err != nil {
		return err
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		return err
	}
	agents := make([]string, len(publishers))
	for i, a := range publishers {
		agents[i] = hex.EncodeToString(a.AppendCAN(nil))
	}
	c := u.Claims()
	var answer versionAnswer
	return r.ask(ctx, http.MethodPut, "/names/"+c.Name+"/"+url.PathEscape(c.Version), c.Name+"@"+c.Version,
		map[string]any{"manifest": id, "publishers": agents}, &answer)
}

// Resolve implements remote.Index.
func (r *Remote) Resolve(ctx context.Context, name, version string) (cid.Hash, error) {
	if !manifest.CheckName(name) {
		return cid.Hash{}, fault.New(remote.ErrNoVersion, "%q is no name of a package", name)
	}
	version = cmp.Or(version, "latest")
	var answer versionAnswer
	err := r.ask(ctx, http.MethodGet, "/names/"+name+"/"+url.PathEscape(version), name+"@"+version, nil, &answer)
	if err == nil && answer.Manifest.IsZero() {
		err = fault.New(remote.ErrLies, "the answer names no manifest").About(name + "@" + version)
	}
	return answer.Manifest, err
}

// Versions implements remote.Index.
func (r *Remote) Versions(ctx context.Context, name string) iter.Seq2[remote.Version, error] {
	return pages(func(after string) (page []remote.Version, more bool, err error) {
		var answer struct {
			Versions []versionAnswer
			More     bool
		}
		if !manifest.CheckName(name) {
			return nil, false, fault.New(remote.ErrNoVersion, "%q is no name of a package", name)
		}
		err = r.ask(ctx, http.MethodGet, "/versions/"+name+after, name, nil, &answer)
		for _, v := range answer.Versions {
			page = append(page, remote.Version(v))
		}
		return page, answer.More, err
	}, func(v remote.Version) string { return v.Version })
}

// pages yields what a registry lists page by page; after is empty or a query that
// names the last item of the page before.
func pages[T any](get func(after string) ([]T, bool, error), name func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := ""
		for range maxPages {
			page, more, err := get(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, x := range page {
				if !yield(x, nil) {
					return
				}
			}
			if !more || len(page) == 0 {
				return
			}
			after = "?after=" + url.QueryEscape(name(page[len(page)-1]))
		}
	}
}

// Attest implements remote.Index.
func (r *Remote) Attest(ctx context.Context, attestation cid.Hash) error {
	var answer struct{}
	return r.ask(ctx, http.MethodPost, "/attestations", attestation.String(), map[string]any{"attestation": attestation}, &answer)
}

// Attestations implements remote.Index.
func (r *Remote) Attestations(ctx context.Context, subject cid.Hash) iter.Seq2[cid.Hash, error] {
	return pages(func(after string) ([]cid.Hash, bool, error) {
		var answer struct {
			Attestations []cid.Hash
			More         bool
		}
		err := r.ask(ctx, http.MethodGet, "/attestations/"+subject.String()+after, subject.String(), nil, &answer)
		return answer.Attestations, answer.More, err
	}, cid.Hash.String)
}
