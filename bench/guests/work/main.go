//go:build wasip1

// Command work is a Go guest that does what Go guests do: it encodes and decodes
// JSON, and hashes. It is a reactor: after _initialize, each export can be called
// again and again, and leaves its result in a global that keeps the work alive.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
)

// order is a document of the size and shape of a small API's.
type order struct {
	ID    string            `json:"id"`
	Total float64           `json:"total"`
	Lines []line            `json:"lines"`
	Notes map[string]string `json:"notes"`
}

type line struct {
	Article string  `json:"article"`
	Count   int     `json:"count"`
	Price   float64 `json:"price"`
	Express bool    `json:"express"`
}

var result byte

func sample() order {
	o := order{ID: "order-1", Notes: map[string]string{}}
	for i := range 20 {
		n := strconv.Itoa(i)
		o.Lines = append(o.Lines, line{Article: "article " + n, Count: i, Price: 1.25 * float64(i), Express: i%2 == 0})
		o.Notes["note "+n] = "a \"remark\" of some length, number " + n
	}
	return o
}

//go:wasmexport json
func jsonWork() {
	o := sample()
	for range 20 {
		raw, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		o = order{}
		if err := json.Unmarshal(raw, &o); err != nil {
			panic(err)
		}
		result += raw[len(raw)/2]
	}
}

//go:wasmexport sha256
func hashWork() {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i * 7)
	}
	sum := sha256.Sum256(b)
	result += sum[0]
}

func main() {}
