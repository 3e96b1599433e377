//go:build wasip1

// Command work is a Go guest for the golden counts (RFC-MYTHOS-0012 §10): it
// makes records from its request's payload, sorts them, and takes them through
// encoding/json. It imports nothing of this project, so that only a change here
// or of the toolchain changes its bytes.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"
)

//go:wasmimport mythos_v1 request_len
func requestLen() uint32

//go:wasmimport mythos_v1 request_read
func requestRead(dst unsafe.Pointer, off, n uint32) int32

//go:wasmimport mythos_v1 response_write
func responseWrite(src unsafe.Pointer, n uint32) int32

// payloadAt is where the key of a request's payload always is: the fields before
// it have fixed sizes.
const payloadAt = 6 + 19 + 2 + 42

const head = "\x08\x03\x03\x01\x06\x14mythos.tool.response\x03\x02\x03\xc8\x01\x03\x03\x05"

type record struct {
	Name  string             `json:"name"`
	Score float64            `json:"score"`
	Tags  map[string]int     `json:"tags"`
	Deep  []*record          `json:"deep,omitempty"`
	Any   map[string]float32 `json:"any"`
}

func main() {
	q := make([]byte, requestLen())
	requestRead(unsafe.Pointer(unsafe.SliceData(q)), 0, uint32(len(q)))
	size, n := binary.Uvarint(q[payloadAt+3:])
	payload := q[payloadAt+3+n:][:size]

	text, err := work(payload)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	value := append(binary.AppendUvarint([]byte{6}, uint64(len(text))), text...) // TEXT
	body := append(binary.AppendUvarint([]byte(head), uint64(len(value))), value...)
	if responseWrite(unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body))) < 0 {
		os.Exit(1)
	}
}

// work returns the records as JSON after a way there and back.
func work(payload []byte) ([]byte, error) {
	var all []*record
	for i, b := range payload {
		r := &record{
			Name:  fmt.Sprintf("%02x-%s", b, strings.Repeat("é", i%3)),
			Score: float64(b) / 7,
			Tags:  map[string]int{"at": i, "of": len(payload), fmt.Sprint(b): 1},
			Any:   map[string]float32{"third": float32(b) / 3},
		}
		if i%4 == 0 && len(all) > 0 {
			r.Deep = []*record{all[len(all)-1]}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *record) int { return strings.Compare(b.Name, a.Name) })
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	var back []*record
	if err := json.Unmarshal(text, &back); err != nil {
		return nil, err
	}
	slices.SortStableFunc(back, func(a, b *record) int { return a.Tags["at"] - b.Tags["at"] })
	return json.Marshal(back[:min(len(back), 8)])
}
