package conformance

import "github.com/mythos-run/mythos/internal/view"

// Descriptors of the schema, for those who make vectors of every struct.
type (
	StructInfo = view.Struct
	FieldInfo  = view.Field
	TypeInfo   = view.Type
)

// Schema returns the structs of spec/schema.can.
func Schema() []StructInfo {
	var out []StructInfo
	for _, name := range view.Names() {
		if x, ok := view.Lookup(name); ok {
			out = append(out, x)
		}
	}
	return out
}
