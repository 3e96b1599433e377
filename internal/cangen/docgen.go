package main

import (
	"fmt"
	"regexp"
	"strings"
)

// typeText renders t for people.
func typeText(t ftype) string {
	switch t.Kind {
	case "list":
		return "list(" + typeText(*t.Elem) + ")"
	case "map":
		return "map(" + t.Key + ", " + typeText(*t.Elem) + ")"
	case "fixed":
		return fmt.Sprintf("bytes of %d", t.Size)
	case "time":
		return "Time"
	case "struct":
		return t.Struct
	case "raw":
		return "any"
	}
	return t.Kind
}

// table renders the field table of x as Markdown.
func (x *structure) table() string {
	var b strings.Builder
	b.WriteString("| no | field | type | |\n| --- | --- | --- | --- |\n")
	for _, f := range x.Fields {
		note := ""
		if f.Optional {
			note = "optional"
		}
		typ := typeText(f.Type)
		if f.Const != "" {
			typ = "text = `" + f.Const + "`"
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", f.Num, f.Name, typ, note)
	}
	switch {
	case x.Closed:
		b.WriteString("\nClosed: an unknown field is refused.\n")
	case len(x.Fields) == 0:
		b.WriteString("\nNo fields.\n")
	}
	return b.String()
}

var marker = regexp.MustCompile(`(?s)<!-- table:(\w+) -->\n.*?<!-- /table -->`)

// fillTables replaces what stands between the table markers of doc.
func (s *schema) fillTables(doc string) (string, error) {
	var unknown error
	out := marker.ReplaceAllStringFunc(doc, func(m string) string {
		name := marker.FindStringSubmatch(m)[1]
		table := hashTable
		if name != "Hash" {
			x := s.byName[name]
			if x == nil {
				unknown = fmt.Errorf("table:%s: no such struct in the schema", name)
				return m
			}
			table = x.table()
		}
		return fmt.Sprintf("<!-- table:%s -->\n%s<!-- /table -->", name, table)
	})
	return out, unknown
}

const hashTable = `| no | field | type | |
| --- | --- | --- | --- |
| 1 | alg | u8 | 1 = SHA-256 |
| 2 | bytes | bytes of 32 | |

Closed: an unknown field is refused.
`
