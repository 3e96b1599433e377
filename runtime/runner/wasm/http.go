package wasm

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner/network"
)

// ErrSecretEchoed: a response holds a secret that the request carried.
const ErrSecretEchoed fault.Code = "network_secret_echoed"

// minEcho is the length of the shortest secret that is looked for in responses:
// a shorter one would be found anywhere.
const minEcho = 4

// secretOpen begins a place in a header's value that the host fills in:
// {{secret:NAME}}.
const (
	secretOpen  = "{{secret:"
	secretClose = "}}"
)

// fetch is an HTTPRequest as a guest wrote it: placeholders are not filled in.
type fetch struct {
	network.Fetch
	values [][]part // of Headers, in order
}

// part is a piece of a header's value: text, or the name of a secret.
type part struct{ text, secret string }

// newFetch reads an HTTPRequest. What it refuses depends on the bytes alone.
func newFetch(raw []byte) (*fetch, error) {
	x, err := abi.DecodeHTTPRequest(raw)
	if err != nil {
		return nil, err
	}
	f := &fetch{Fetch: network.Fetch{
		Method: x.Method, Body: x.Body, Redirects: abi.MaxHTTPRedirects, MaxBody: abi.MaxHTTPBody,
	}}
	if f.Target, err = network.ParseURL(x.Url); err != nil {
		return nil, err
	}
	if x.Redirects != nil {
		f.Redirects = int(*x.Redirects)
	}
	if x.MaxBody != nil {
		f.MaxBody = int64(*x.MaxBody)
	}
	if x.TimeoutMicros != nil {
		f.Timeout = time.Duration(min(*x.TimeoutMicros, 1<<50)) * time.Microsecond
	}
	for _, h := range x.Headers {
		parts, err := partsOf(h.Value)
		if err != nil {
			return nil, err
		}
		f.Headers = append(f.Headers, network.Header{Name: h.Name})
		f.values = append(f.values, parts)
	}
	return f, nil
}

// partsOf splits a header's value at its placeholders.
func partsOf(value string) ([]part, error) {
	var out []part
	for {
		text, rest, found := strings.Cut(value, secretOpen)
		out = append(out, part{text: text})
		if !found {
			return out, nil
		}
		name, after, closed := strings.Cut(rest, secretClose)
		if !closed || name == "" {
			return nil, fault.New(abi.ErrHTTPRequest, "a header has %s without a name and %s", secretOpen, secretClose)
		}
		out = append(out, part{secret: name})
		value = after
	}
}

// fetch performs a request that is already in the transcript and returns what
// the transcript shall hold of its response.
func (h *Host) fetch(f *fetch, room int) []byte {
	if h.outside.grants.Net == nil {
		return fails(hostDenied)
	}
	secrets, ok := h.fill(f)
	if !ok {
		return fails(hostDenied)
	}
	ctx, cancel := h.waiting()
	defer cancel()
	response := h.outside.options.egress.Do(ctx, h.outside.grants.Net, f.Fetch)
	b := response.AppendCAN(nil)
	for _, s := range secrets {
		if len(s) >= minEcho && bytes.Contains(b, s) {
			response = network.Failed(f.Target, fault.New(ErrSecretEchoed, "the response repeats a secret of the request"))
			return response.AppendCAN(nil)
		}
	}
	if len(b) > room {
		response = network.Failed(f.Target, fault.New(network.ErrTooLarge, "the response has %d bytes, at most %d", len(b), room))
		return response.AppendCAN(nil)
	}
	return b
}

// fill writes the values of headers, and returns the secrets that went into
// them; false if one is not granted or cannot stand in a header.
func (h *Host) fill(f *fetch) (secrets [][]byte, ok bool) {
	for i, parts := range f.values {
		var value strings.Builder
		for _, p := range parts {
			if p.secret == "" {
				value.WriteString(p.text)
				continue
			}
			s, ok := h.secret(p.secret)
			if !ok {
				return nil, false
			}
			secrets = append(secrets, s)
			value.Write(s)
			f.Headers[i].Private = true
		}
		f.Headers[i].Value = value.String()
	}
	return secrets, true
}

// secret returns the value of a granted secret. Why a value cannot be had goes
// nowhere: such a text might hold it.
func (h *Host) secret(name string) ([]byte, bool) {
	for _, s := range h.outside.grants.Secrets {
		if s.Name != name {
			continue
		}
		value, err := s.Value()
		if err != nil {
			panic(fmt.Errorf("%w: secret %q cannot be read (%s)", errHost, clip(name), fault.CodeOf(err)))
		}
		return value, abi.HTTPValue(string(value))
	}
	return nil, false
}
