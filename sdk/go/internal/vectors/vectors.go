// Package vectors turns the conformance vectors that are about guests into a
// form that a test program in any language reads without a JSON parser: one
// vector in a line, its parts separated by one space, "-" for an empty one.
//
//	value ID HEX ok                     one canonical value
//	value ID HEX CODE OFFSET            bytes that are none
//	request ID HEX PAYLOAD TOOL IDEM    a ToolRequest and what is in it, in hex
//	                                    ("-": the vector does not say)
//	request ID HEX CODE
//	response ID HEX STATUS PAYLOAD CODE MESSAGE
//	                                    a ToolResponse that these parts give
//	frame ID HEX MAX MESSAGE LEFT       a frame, with LEFT bytes behind it
//	frame ID HEX MAX CODE
//
// CODE and MESSAGE of a response are texts in hex.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type vector struct {
	ID    string
	Op    string
	Input struct {
		Hex string
		Max uint64
	}
	Expect struct {
		Error  string
		Offset *int
		Output output
	}
}

type output struct {
	Payload string
	ToolID  string `json:"tool_id"`
	IdemID  string `json:"idem_id"`
	Status  int
	Message string
	Left    int
	Error   *struct{ Code, Message string }
}

// Lines returns a line for each vector of the suites can and tool, which lie in
// folder, by name.
func Lines(folder string) ([]string, error) {
	var lines []string
	for _, suite := range []string{"can", "tool"} {
		files, err := filepath.Glob(filepath.Join(folder, suite, "*.json"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s has no vectors of the suite %s", folder, suite)
		}
		slices.Sort(files)
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			var v vector
			if err := json.Unmarshal(b, &v); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if text := line(&v); text != "" {
				lines = append(lines, text)
			}
		}
	}
	return lines, nil
}

// line returns the line of a vector, or "" if it is not about guests.
func line(v *vector) string {
	x, head := v.Expect.Output, v.ID+" "+or(v.Input.Hex)
	switch v.Op {
	case "can.decode":
		if v.Expect.Error != "" {
			return fmt.Sprintf("value %s %s %d", head, v.Expect.Error, *v.Expect.Offset)
		}
		return "value " + head + " ok"
	case "tool.request":
		if v.Expect.Error != "" {
			return "request " + head + " " + v.Expect.Error
		}
		return fmt.Sprintf("request %s %s %s %s", head, or(x.Payload), or(digest(x.ToolID)), or(digest(x.IdemID)))
	case "tool.response":
		return response(v)
	case "tool.frame":
		if v.Expect.Error != "" {
			return fmt.Sprintf("frame %s %d %s", head, v.Input.Max, v.Expect.Error)
		}
		return fmt.Sprintf("frame %s %d %s %d", head, v.Input.Max, or(x.Message), x.Left)
	}
	return ""
}

// response keeps what a guest can answer: without fields that it does not know,
// and a failure with an error.
func response(v *vector) string {
	x := v.Expect.Output
	if v.Expect.Error != "" || strings.Contains(v.ID, "unknown-field") || x.Status != 200 && x.Error == nil {
		return ""
	}
	code, message := "-", "-"
	if x.Error != nil {
		code, message = or(hex.EncodeToString([]byte(x.Error.Code))), or(hex.EncodeToString([]byte(x.Error.Message)))
	}
	return fmt.Sprintf("response %s %s %d %s %s %s", v.ID, v.Input.Hex, x.Status, x.Payload, code, message)
}

func digest(text string) string { return strings.TrimPrefix(text, "sha256:") }

func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
