package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// field is one line of a struct.
type field struct {
	Num      int
	Name     string
	Optional bool
	Const    string // the schema text; no Go field
	Type     ftype
}

// ftype is a field's type: a scalar, a struct, a list or a map.
type ftype struct {
	Kind   string // u8 u16 u32 u64 i64 time bool bytes text raw fixed struct list map
	Size   int    // of fixed
	Struct string // of struct
	Closed bool   // struct read as closed
	Key    string // of map: text or u32
	Elem   *ftype // of list and map
}

// structure is one struct of the schema.
type structure struct {
	Package, Name, Go string
	Closed            bool
	ID, Sig, By       int // field numbers, 0 if none
	Fields            []field
}

// schema is the parsed file.
type schema struct {
	structs []*structure
	byName  map[string]*structure
}

func parseSchema(r io.Reader) (*schema, error) {
	s := &schema{byName: map[string]*structure{}}
	var pkg string
	var cur *structure
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		text := sc.Text()
		switch {
		case strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#"):
			continue
		case strings.HasPrefix(text, "package "):
			pkg = strings.TrimSpace(strings.TrimPrefix(text, "package "))
			continue
		}
		var err error
		if strings.HasPrefix(text, " ") {
			err = cur.addField(text)
		} else if cur, err = parseHeader(pkg, text); err == nil {
			err = s.add(cur)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	return s, s.check()
}

func (s *schema) add(x *structure) error {
	if s.byName[x.Name] != nil {
		return fmt.Errorf("%s is declared twice", x.Name)
	}
	s.byName[x.Name] = x
	s.structs = append(s.structs, x)
	return nil
}

func parseHeader(pkg, text string) (*structure, error) {
	words := strings.Fields(text)
	x := &structure{Package: pkg}
	x.Name, x.Closed = strings.CutSuffix(words[0], "!")
	x.Go = x.Name
	for i := 1; i < len(words); i++ {
		key, value, ok := strings.Cut(words[i], "=")
		n, _ := strconv.Atoi(value)
		switch {
		case key == "as" && i+1 < len(words):
			i++
			x.Go = words[i]
		case ok && key == "id" && n > 0:
			x.ID = n
		case ok && key == "sig" && n > 0:
			x.Sig = n
		case ok && key == "by" && n > 0:
			x.By = n
		default:
			return nil, fmt.Errorf("%s: unknown word %q", x.Name, words[i])
		}
	}
	if pkg == "" {
		return nil, fmt.Errorf("%s stands before any package", x.Name)
	}
	return x, nil
}

func (x *structure) addField(text string) error {
	if x == nil {
		return fmt.Errorf("a field stands before any struct")
	}
	words := strings.Fields(text)
	if len(words) < 3 {
		return fmt.Errorf("%s: want \"N name type\", got %q", x.Name, text)
	}
	var f field
	num, opt := strings.CutSuffix(words[0], "?")
	f.Optional, f.Name = opt, words[1]
	var err error
	if f.Num, err = strconv.Atoi(num); err != nil || f.Num < 1 || f.Num > 127 {
		return fmt.Errorf("%s: field number %q is not in 1..127", x.Name, words[0])
	}
	if n := len(x.Fields); n > 0 && f.Num <= x.Fields[n-1].Num {
		return fmt.Errorf("%s: field %d does not ascend", x.Name, f.Num)
	}
	if words[2] == "=" {
		f.Type = ftype{Kind: "text"}
		f.Const, err = strconv.Unquote(words[3])
	} else {
		f.Type, err = parseType(words[2])
	}
	x.Fields = append(x.Fields, f)
	return err
}

func parseType(t string) (ftype, error) {
	if inner, ok := cutBoth(t, "[", "]"); ok {
		e, err := parseType(inner)
		return ftype{Kind: "list", Elem: &e}, err
	}
	if inner, ok := cutBoth(t, "{", "}"); ok {
		key, elem, _ := strings.Cut(inner, ":")
		if key != "text" && key != "u32" {
			return ftype{}, fmt.Errorf("a map key is text or u32, got %q", key)
		}
		e, err := parseType(elem)
		return ftype{Kind: "map", Key: key, Elem: &e}, err
	}
	switch t {
	case "u8", "u16", "u32", "u64", "i64", "time", "bool", "bytes", "text", "raw":
		return ftype{Kind: t}, nil
	}
	if n, ok := strings.CutPrefix(t, "b"); ok {
		if size, err := strconv.Atoi(n); err == nil && size > 0 {
			return ftype{Kind: "fixed", Size: size}, nil
		}
	}
	if t[0] < 'A' || t[0] > 'Z' {
		return ftype{}, fmt.Errorf("unknown type %q", t)
	}
	name, closed := strings.CutSuffix(t, "!")
	return ftype{Kind: "struct", Struct: name, Closed: closed}, nil
}

func cutBoth(s, open, end string) (string, bool) {
	a, ok := strings.CutPrefix(s, open)
	b, ok2 := strings.CutSuffix(a, end)
	return b, ok && ok2
}

// check resolves every struct name and field role.
func (s *schema) check() error {
	for _, x := range s.structs {
		for _, f := range x.Fields {
			t := f.Type
			for t.Elem != nil {
				t = *t.Elem
			}
			if t.Kind == "struct" && t.Struct != "Hash" && s.byName[t.Struct] == nil {
				return fmt.Errorf("%s.%s: unknown type %s", x.Name, f.Name, t.Struct)
			}
		}
		for _, n := range []int{x.ID, x.Sig, x.By} {
			if n != 0 && x.field(n) == nil {
				return fmt.Errorf("%s: no field %d", x.Name, n)
			}
		}
	}
	return nil
}

func (x *structure) field(num int) *field {
	for i := range x.Fields {
		if x.Fields[i].Num == num {
			return &x.Fields[i]
		}
	}
	return nil
}

// readAsClosed reports whether some field reads the open struct name as closed.
func (s *schema) readAsClosed(name string) bool {
	for _, x := range s.structs {
		for _, f := range x.Fields {
			t := f.Type
			for t.Elem != nil {
				t = *t.Elem
			}
			if t.Closed && t.Struct == name {
				return true
			}
		}
	}
	return false
}

// minSize is the length of the shortest encoding of t.
func (s *schema) minSize(t ftype) int {
	switch t.Kind {
	case "bool":
		return 1
	case "raw":
		return 1
	case "fixed":
		return 2 + t.Size
	case "struct":
		if t.Struct == "Hash" {
			return 42
		}
		n := 2
		for _, f := range s.byName[t.Struct].Fields {
			if !f.Optional && f.Type.Struct != t.Struct {
				n += 2 + s.minSize(f.Type)
			}
		}
		return n
	}
	return 2
}
