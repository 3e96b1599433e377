package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
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
	ID, Sig, By       int  // field numbers, 0 if none
	Keyless           bool // readers accept its signature without a key_id
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
			pkg, cur = strings.TrimSpace(strings.TrimPrefix(text, "package ")), nil
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
		case words[i] == "keyless":
			x.Keyless = true
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
	switch {
	case slices.ContainsFunc(x.Fields, func(o field) bool { return o.Name == f.Name }):
		err = fmt.Errorf("%s: field name %q stands twice", x.Name, f.Name)
	case len(words) == 4 && words[2] == "=":
		f.Type = ftype{Kind: "text"}
		if f.Const, err = strconv.Unquote(words[3]); err != nil || f.Const == "" || len(f.Const) > 127 || f.Optional {
			err = fmt.Errorf("%s: a constant is a required, quoted text of 1 to 127 bytes", x.Name)
		}
	case len(words) != 3 || words[2] == "=":
		err = fmt.Errorf("%s: want \"N name type\", got %q", x.Name, text)
	default:
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
		if size, err := strconv.Atoi(n); err == nil && size > 0 && size < 128 {
			return ftype{Kind: "fixed", Size: size}, nil
		}
	}
	if t == "" || t[0] < 'A' || t[0] > 'Z' {
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
			if err := s.checkType(x, f); err != nil {
				return fmt.Errorf("%s.%s: %w", x.Name, f.Name, err)
			}
		}
		if err := x.checkRoles(); err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		if s.contains(x, x.Name, nil) {
			return fmt.Errorf("%s: it needs itself as a field, so it has no finite value", x.Name)
		}
	}
	return nil
}

// checkType resolves the struct in f's type. What a closed struct contains
// must be read as closed too (RFC-MYTHOS-0002 §9).
func (s *schema) checkType(x *structure, f field) error {
	t := f.Type
	for t.Elem != nil {
		t = *t.Elem
	}
	if t.Kind != "struct" || t.Struct == "Hash" {
		return nil
	}
	inner := s.byName[t.Struct]
	switch {
	case inner == nil:
		return fmt.Errorf("unknown type %s", t.Struct)
	case x.Closed && !inner.Closed && !t.Closed:
		return fmt.Errorf("a closed struct contains the open %s, which needs a ! here", t.Struct)
	case t.Closed && !inner.Closed:
		for _, g := range inner.Fields {
			closed := *inner
			closed.Closed = true
			if err := s.checkType(&closed, g); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Struct, g.Name, err)
			}
		}
	}
	return nil
}

// checkRoles checks that id, signature and signer are required fields of their
// types, in an order that cutting them out relies on.
func (x *structure) checkRoles() error {
	for _, role := range []struct {
		num  int
		typ  string
		name string
	}{{x.ID, "Hash", "id"}, {x.Sig, "Signature", "sig"}, {x.By, "AgentID", "by"}} {
		if role.num == 0 {
			continue
		}
		if f := x.field(role.num); f == nil || f.Optional || f.Type.Struct != role.typ {
			return fmt.Errorf("%s=%d is not a required %s field", role.name, role.num, role.typ)
		}
	}
	switch {
	case x.Sig == 0 && (x.ID != 0 || x.By != 0 || x.Keyless):
		return fmt.Errorf("id, by and keyless need a sig")
	case x.Sig != 0 && x.ID >= x.Sig:
		return fmt.Errorf("the id field must stand before the signature")
	case x.Keyless && x.By != 0:
		return fmt.Errorf("keyless is for a struct that names no signer")
	}
	return nil
}

// contains reports whether every value of x holds one of the struct name.
func (s *schema) contains(x *structure, name string, seen []string) bool {
	for _, f := range x.Fields {
		inner := s.byName[f.Type.Struct]
		if f.Optional || inner == nil || slices.Contains(seen, inner.Name) {
			continue
		}
		if inner.Name == name || s.contains(inner, name, append(seen, inner.Name)) {
			return true
		}
	}
	return false
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
			switch {
			case f.Const != "":
				n += 4 + len(f.Const)
			case !f.Optional:
				n += 2 + s.minSize(f.Type)
			}
		}
		return n
	}
	return 2
}
