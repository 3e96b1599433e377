package ociapi

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestManyParts: a manifest of too many parts is refused before they take memory.
func TestManyParts(t *testing.T) {
	const head, bound = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},`, 16 << 20
	fill := func(begin, unit, end string) []byte {
		return []byte(head + begin + strings.Repeat(unit, (maxManifest-200)/len(unit)) + end)
	}
	var annotations bytes.Buffer
	for i := range maxManifest / 14 {
		fmt.Fprintf(&annotations, `"%07x":"",`, i)
	}
	for name, raw := range map[string][]byte{
		"layers":      fill(`"layers":[`, `{},`, `{}]}`),
		"manifests":   fill(`"manifests":[`, `{},`, `{}]}`),
		"annotations": []byte(head + `"annotations":{` + annotations.String() + `"x":""}}`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseDocument(raw, "")
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > bound {
			t.Errorf("%s: %d bytes took %d bytes: %v", name, len(raw), took, err)
		}
	}
}

// TestPartsOf reads what a list of parts may be.
func TestPartsOf(t *testing.T) {
	config := `{"mediaType":"m,[\\\\\"","digest":"sha256:` + strings.Repeat("0", 64) + `","size":2}`
	image := func(layers string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + config + `,"layers":` + layers + `}`)
	}
	most := strings.Repeat(config+",", maxMembers-1) + config
	for layers, want := range map[string]int{
		"null": 0, "[]": 0, " [ " + config + " ] ": 1, "[" + most + "]": maxMembers,
		"[" + most + "," + config + "]": -1, "{}": -1, `"x"`: -1, "[1]": -1, "7": -1, "true": -1,
	} {
		d, err := parseDocument(image(layers), "")
		if want < 0 != (err != nil) || err == nil && len(d.Layers) != want {
			t.Errorf("%.50s: %d layers, %v", layers, len(d.Layers), err)
		}
	}
}
