package main

// object is a JSON Schema of an object: members that are required, members that
// are not, and no others.
func object(required, optional map[string]any) map[string]any {
	props := map[string]any{}
	names := []string{}
	for _, name := range sorted(required) {
		props[name] = required[name]
		names = append(names, name)
	}
	for name, x := range optional {
		props[name] = x
	}
	return map[string]any{"type": "object", "properties": props, "required": names, "additionalProperties": false}
}

func pattern(re string) map[string]any { return map[string]any{"type": "string", "pattern": re} }

func list(of any) map[string]any { return map[string]any{"type": "array", "items": of} }

func texts(of any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": of}
}

func filled() map[string]any { return map[string]any{"type": "string", "minLength": 1} }

const (
	draft     = "https://json-schema.org/draft/2020-12/schema"
	suiteForm = "^[a-z][a-z0-9]*$"
	idForm    = "^[a-z][a-z0-9]*(-[a-z0-9]+)*-[0-9]{3}$"
	codeForm  = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
)

// manifestSchema is the JSON Schema of manifest.json.
func manifestSchema() map[string]any {
	suite := object(map[string]any{"name": pattern(suiteForm), "spec": filled(), "doc": filled()}, nil)
	vector := object(map[string]any{
		"id": pattern(idForm), "suite": pattern(suiteForm), "spec": filled(),
		"level":  map[string]any{"enum": []int{0, 1, 2}},
		"result": map[string]any{"enum": []string{"valid", "invalid", "acceptable"}},
		"flags":  list(pattern("^[a-z][a-z0-9-]*$")),
		"files":  texts(pattern("^vectors/")),
		"sha256": texts(pattern("^[0-9a-f]{64}$")),
	}, map[string]any{"error": pattern(codeForm)})
	s := object(map[string]any{
		"schema": map[string]any{"const": "mythos.ctvp/1"}, "version": filled(),
		"suites": list(suite), "vectors": list(vector),
	}, nil)
	s["$schema"], s["title"] = draft, "MYTHOS conformance pack: manifest.json"
	return s
}

// vectorSchema is the JSON Schema of a vector.
func vectorSchema() map[string]any {
	expect := map[string]any{
		"oneOf": []any{
			object(map[string]any{"output": map[string]any{"type": "object"}}, nil),
			object(map[string]any{"error": pattern(codeForm)}, map[string]any{"offset": map[string]any{"type": "integer", "minimum": 0}}),
			object(map[string]any{"output": map[string]any{"type": "object"}, "error": pattern(codeForm)}, nil),
		},
	}
	s := object(map[string]any{
		"id": pattern(idForm), "suite": pattern(suiteForm), "op": pattern(`^[a-z]+\.[a-z]+$`), "doc": filled(),
		"input": map[string]any{"type": "object"}, "expect": expect,
	}, nil)
	s["$schema"], s["title"] = draft, "MYTHOS conformance pack: one vector"
	return s
}
