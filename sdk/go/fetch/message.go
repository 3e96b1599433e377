package fetch

import (
	"errors"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

// field is a field of a struct: its number is a UVARINT key.
func field(no uint64, v tool.Value) tool.Pair { return tool.Pair{Key: tool.Uint(no), Value: v} }

// encode returns the HTTPRequest of RFC-MYTHOS-0006 §11.4.
func encode(q *Request) tool.Value {
	fields := []tool.Pair{
		field(1, tool.Text("mythos.http.request")), field(2, tool.Text(q.Method)), field(3, tool.Text(q.URL)),
		field(8, tool.Uint(q.MaxBody)),
	}
	if len(q.Headers) > 0 {
		headers := make([]tool.Value, len(q.Headers))
		for i, h := range q.Headers {
			headers[i] = tool.Map(field(1, tool.Text(h.Name)), field(2, tool.Text(h.Value)))
		}
		fields = append(fields, field(4, tool.List(headers...)))
	}
	if len(q.Body) > 0 {
		fields = append(fields, field(5, tool.Bytes(q.Body)))
	}
	if q.NoRedirects {
		fields = append(fields, field(6, tool.Uint(0)))
	}
	if q.Timeout > 0 {
		fields = append(fields, field(7, tool.Uint(uint64(q.Timeout.Microseconds()))))
	}
	return tool.Map(fields...)
}

// decode reads an HTTPResponse.
func decode(v tool.Value) (*Response, error) {
	var r Response
	var failure *Error
	pairs, err := v.Pairs()
	if err != nil {
		return nil, err
	}
	for key, x := range pairs {
		no, err := key.Uint()
		if err != nil {
			return nil, err
		}
		var failed error
		switch no {
		case 2:
			var status uint64
			status, failed = x.Uint()
			r.Status = int(status)
		case 3:
			r.URL, failed = x.Text()
		case 4:
			r.Headers, failed = decodeHeaders(x)
		case 5:
			r.Body, failed = x.Bytes()
		case 6:
			failure, failed = decodeError(x)
		}
		if failed != nil {
			return nil, failed
		}
	}
	if failure != nil {
		return nil, failure
	}
	return &r, nil
}

func decodeHeaders(v tool.Value) ([]Header, error) {
	items, err := v.Items()
	if err != nil {
		return nil, err
	}
	var headers []Header
	for item := range items {
		name, value, err := texts(item)
		if err != nil {
			return nil, err
		}
		headers = append(headers, Header{name, value})
	}
	return headers, nil
}

func decodeError(v tool.Value) (*Error, error) {
	code, message, err := texts(v)
	return &Error{code, message}, err
}

// texts returns the fields 1 and 2 of a struct, both TEXT, "" for one that is
// missing.
func texts(v tool.Value) (one, two string, err error) {
	pairs, err := v.Pairs()
	if err != nil {
		return "", "", err
	}
	for key, x := range pairs {
		no, errKey := key.Uint()
		text, errText := x.Text()
		switch {
		case errKey == nil && no == 1:
			one, err = text, errors.Join(err, errText)
		case errKey == nil && no == 2:
			two, err = text, errors.Join(err, errText)
		}
	}
	return one, two, err
}
