//go:build unix

package main

import (
	"path/filepath"
	"strconv"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// Bounds of a request.
const (
	maxKey  = 120 // bytes: in hexadecimal a key is a file's name
	maxList = 1000
)

type request struct {
	op     string
	key    string
	value  tool.Value // of a put
	prefix string
	after  string
	limit  int
	absent bool // a put must not replace
	folder string
}

func invalid(message string) error { return tool.Fail(400, "request_invalid", message) }

// readRequest reads {1 op, 2 key?, 3 value?, 4 prefix?, 5 after?, 6 limit?,
// 7 if_absent?, 8 folder?}. A field that the op does not take is refused.
func readRequest(folder string, v tool.Value) (*request, error) {
	r, err := record.Read(v, 8)
	if err != nil {
		return nil, err
	}
	q := &request{folder: folder, value: r[3], limit: maxList}
	if q.op, err = r[1].Text(); err != nil {
		return nil, err
	}
	takes, known := map[string][9]bool{
		"get":    {2: true},
		"put":    {2: true, 3: true, 7: true},
		"delete": {2: true},
		"list":   {4: true, 5: true, 6: true},
	}[q.op]
	if !known {
		return nil, invalid("op " + strconv.Quote(q.op) + " is none of get, put, delete, list")
	}
	takes[1], takes[8] = true, folder == ""
	for n := 1; n < len(takes); n++ {
		if r.Has(n) && !takes[n] {
			return nil, invalid(q.op + " does not take field " + strconv.Itoa(n) + " here")
		}
	}
	if err := q.readKeys(r, takes[2]); err != nil {
		return nil, err
	}
	if q.absent, err = r.Bool(7); err != nil {
		return nil, err
	}
	return q, q.readFolder(r)
}

func (q *request) readKeys(r record.Record, keyed bool) (err error) {
	if keyed {
		if q.key, err = r[2].Text(); err != nil {
			return err
		}
		if q.key == "" || len(q.key) > maxKey {
			return invalid("a key has 1 to " + strconv.Itoa(maxKey) + " bytes, not " + strconv.Itoa(len(q.key)))
		}
	}
	if q.prefix, err = r.Text(4); err != nil {
		return err
	}
	if q.after, err = r.Text(5); err != nil {
		return err
	}
	if !r.Has(6) {
		return nil
	}
	n, err := r[6].Uint()
	if err != nil {
		return err
	}
	if n < 1 || n > maxList {
		return invalid("limit is 1 to " + strconv.Itoa(maxList) + ", not " + strconv.FormatUint(n, 10))
	}
	q.limit = int(n)
	return nil
}

func (q *request) readFolder(r record.Record) (err error) {
	if q.folder == "" {
		if q.folder, err = r[8].Text(); err != nil {
			return err
		}
	}
	if !filepath.IsAbs(q.folder) || filepath.Clean(q.folder) != q.folder {
		return invalid("the folder " + strconv.Quote(q.folder) + " is not an absolute path in its shortest form")
	}
	return nil
}
