package caps

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// WhereForms is what ParseWhere reads, for help texts.
const WhereForms = "POINTER:OP=VALUE with OP eq, le, ge, in or prefix, as in amount:le=100, to:in=[\"acme\",\"beto\"] or items/0/sku:eq=a-1"

// argOps are the operators of constraints about arguments.
var argOps = [...]string{OpEq, OpLe, OpGe, OpIn, OpPrefix}

// ParseWhere reads a constraint about an argument as people write it,
// POINTER:OP=VALUE, and returns the key and value of the canonical one
// (RFC-MYTHOS-0008 §4). POINTER is a JSON pointer whose first slash may be left
// out, and nothing for the whole payload. VALUE is JSON in the JSON view of
// RFC-MYTHOS-0001 §6; what is no JSON is a TEXT as it stands.
func ParseWhere(text string) (key, value string, err error) {
	at, op := -1, ""
	for _, o := range argOps {
		if i := strings.Index(text, ":"+o+"="); i >= 0 && (at < 0 || i < at) {
			at, op = i, o
		}
	}
	if at < 0 {
		return "", "", fault.New(ErrConstraint, "%q has no operator: want %s", text, WhereForms)
	}
	pointer, rest := text[:at], text[at+len(op)+2:]
	if pointer != "" && pointer[0] != '/' {
		pointer = "/" + pointer
	}
	raw, err := can.FromJSON([]byte(rest))
	if err != nil {
		if rest == "" || strings.ContainsRune("0123456789-+.\"[{", rune(rest[0])) {
			return "", "", fault.New(ErrConstraint, "%q: its value is no JSON; a text that looks like something else stands in quotes: %w", text, err)
		}
		raw = can.AppendText(nil, rest)
		if err := can.Valid(raw); err != nil {
			return "", "", fault.New(ErrConstraint, "%q: %w", text, err)
		}
	}
	key, value = Arg(pointer, op, raw)
	if _, why := parseConstraint(key, value); why != "" {
		return "", "", fault.New(ErrConstraint, "%q: %s", text, why)
	}
	return key, value, nil
}

// FormatConstraint renders a constraint for people: one about an argument as
// ParseWhere reads it, any other as KEY=VALUE, and one outside the vocabulary as it
// stands.
func FormatConstraint(key, value string) string {
	c, why := parseConstraint(key, value)
	if why != "" || !c.isArg {
		return key + "=" + value
	}
	text, err := can.AppendJSON(nil, c.value)
	if err != nil {
		return key + "=" + value
	}
	return fmt.Sprintf("%s:%s=%s", shortPointer(c.pointer), c.op, text)
}

// shortPointer is a pointer as ParseWhere reads it, for people.
func shortPointer(pointer string) string { return strings.TrimPrefix(pointer, "/") }
