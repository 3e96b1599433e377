package registry

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// observed is an answer that is counted and logged when it ends.
type observed struct {
	http.ResponseWriter
	s      *Service
	r      *http.Request
	body   *counted
	route  string
	start  time.Time
	status int
	sent   int64
	code   string // of an error
	who    string // name of a token, or key of a proof
}

// observe begins to watch a request.
func (s *Service) observe(w http.ResponseWriter, r *http.Request, route string) *observed {
	o := &observed{ResponseWriter: w, s: s, r: r, route: route, start: s.Clock(), body: &counted{}}
	if r.Body != nil && r.Body != http.NoBody {
		o.body.ReadCloser = r.Body
		r.Body = o.body
	}
	s.metrics.running.Add(1)
	return o
}

// end counts and logs it.
func (o *observed) end() {
	took := o.s.Clock().Sub(o.start)
	o.s.metrics.add(o, took)
	if o.s.Log == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("client", o.r.RemoteAddr), slog.String("method", o.r.Method), slog.String("path", o.r.URL.Path),
		slog.Int("status", o.status), slog.Int64("received", o.body.n), slog.Int64("sent", o.sent), slog.Duration("took", took),
	}
	if o.who != "" {
		attrs = append(attrs, slog.String("who", o.who))
	}
	if o.code != "" {
		attrs = append(attrs, slog.String("code", o.code))
	}
	o.s.Log.LogAttrs(o.r.Context(), slog.LevelInfo, "request", attrs...)
}

// Unwrap lets http.ResponseController find the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observed) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	allow(o.ResponseWriter, 0, o.s.Patience)
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	allow(o.ResponseWriter, int64(len(b)), o.s.Patience)
	n, err := o.ResponseWriter.Write(b)
	o.sent += int64(n)
	return n, err
}

// stretch is how much of a file is sent for one deadline, in bytes.
const stretch = 1 << 20

// ReadFrom lets the connection take bytes from a file without copying them, and
// the client some time for every stretch.
func (o *observed) ReadFrom(r io.Reader) (sent int64, err error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	for whole.N > 0 && err == nil {
		part := &io.LimitedReader{R: whole.R, N: min(whole.N, stretch)}
		asked := part.N
		allow(o.ResponseWriter, asked, o.s.Patience)
		var n int64
		n, err = io.Copy(o.ResponseWriter, part)
		sent, whole.N = sent+n, whole.N-n
		if n < asked {
			break
		}
	}
	o.sent += sent
	return sent, err
}

// counted is a body of which the bytes are counted.
type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}
