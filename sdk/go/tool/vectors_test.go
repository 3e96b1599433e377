package tool

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/sdk/go/internal/vectors"
)

// TestVectors runs the conformance vectors that are about guests.
func TestVectors(t *testing.T) {
	lines, err := vectors.Lines("../../../ctvp/vectors")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, line := range lines {
		part := strings.Fields(line)
		ran[part[0]]++
		var problem string
		switch part[0] {
		case "value":
			problem = valueVector(t, part[2:])
		case "request":
			problem = requestVector(t, part[2:])
		case "response":
			problem = responseVector(t, part[2:])
		case "frame":
			problem = frameVector(t, part[2:])
		default:
			problem = "an op without a test"
		}
		if problem != "" {
			t.Errorf("%s: %s", part[1], problem)
		}
	}
	for op, least := range map[string]int{"value": 192, "request": 45, "response": 7, "frame": 23} {
		if ran[op] < least {
			t.Errorf("%d vectors of %s, want at least %d", ran[op], op, least)
		}
	}
}

func valueVector(t *testing.T, part []string) string {
	raw := unhex(t, part[0])
	v, err := Parse(raw)
	if part[1] == "ok" {
		if err != nil {
			return err.Error()
		}
		again, err := rebuild(v)
		if err != nil || !bytes.Equal(again.Raw(), raw) {
			return "built again it is " + hex.EncodeToString(again.Raw())
		}
		return ""
	}
	var e *decodeError
	if !errors.As(err, &e) || e.code != part[1] || strconv.Itoa(e.at) != part[2] {
		return "got " + errText(err)
	}
	return ""
}

func requestVector(t *testing.T, part []string) string {
	c, err := decodeRequest(unhex(t, part[0]))
	if len(part) == 2 {
		if !strings.HasPrefix(errText(err), part[1]) {
			return "got " + errText(err)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	for i, got := range [][]byte{c.Payload.Raw(), c.ToolID[:], c.IdemID[:]} {
		if want := part[1+i]; want != "-" && want != hex.EncodeToString(got) {
			return "got " + hex.EncodeToString(got) + ", want " + want
		}
	}
	return ""
}

func responseVector(t *testing.T, part []string) string {
	status, err := strconv.Atoi(part[1])
	if err != nil {
		return err.Error()
	}
	var f *Failure
	if part[3] != "-" {
		f = &Failure{Status: status, Code: string(unhex(t, part[3])), Message: string(unhex(t, part[4]))}
	}
	if got := hex.EncodeToString(appendResponse(nil, status, unhex(t, part[2]), f)); got != part[0] {
		return "got " + got
	}
	return ""
}

func frameVector(t *testing.T, part []string) string {
	limit, err := strconv.ParseUint(part[1], 10, 64)
	if err != nil {
		return err.Error()
	}
	in := bufio.NewReader(bytes.NewReader(unhex(t, part[0])))
	got, err := readFrame(in, limit)
	if len(part) == 3 {
		if part[2] == "abi_frame_end" && err == io.EOF || strings.HasPrefix(errText(err), part[2]) {
			return ""
		}
		return "got " + errText(err)
	}
	left, _ := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, unhex(t, part[2])) || strconv.Itoa(len(left)) != part[3] {
		return "got " + errText(err) + " " + hex.EncodeToString(got) + ", left " + strconv.Itoa(len(left))
	}
	return ""
}

// rebuild reads v through its methods and builds it again.
func rebuild(v Value) (Value, error) {
	switch v.Kind() {
	case KindBool:
		b, err := v.Bool()
		return Bool(b), err
	case KindUint:
		n, err := v.Uint()
		return Uint(n), err
	case KindInt:
		n, err := v.Int()
		return Int(n), err
	case KindBytes:
		b, err := v.Bytes()
		return Bytes(b), err
	case KindText:
		s, err := v.Text()
		return Text(s), err
	case KindList:
		return rebuildList(v)
	case KindMap:
		return rebuildMap(v)
	}
	return Null(), nil
}

func rebuildList(v Value) (Value, error) {
	items, err := v.Items()
	if err != nil {
		return Value{}, err
	}
	var list []Value
	for item := range items {
		x, err := rebuild(item)
		if err != nil {
			return Value{}, err
		}
		list = append(list, x)
	}
	return List(list...), nil
}

// rebuildMap hands the pairs on in the reverse order.
func rebuildMap(v Value) (Value, error) {
	pairs, err := v.Pairs()
	if err != nil {
		return Value{}, err
	}
	list := make([]Pair, v.Len())
	at := len(list)
	for key, value := range pairs {
		at--
		if list[at].Key, err = rebuild(key); err != nil {
			return Value{}, err
		}
		if list[at].Value, err = rebuild(value); err != nil {
			return Value{}, err
		}
	}
	return Map(list...), nil
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(text, "-"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func errText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
