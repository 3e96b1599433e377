package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// maxValue bounds a value that the can commands read.
const maxValue = 64 << 20

func newCan(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "can", Short: "Encode, decode and hash canonical values", GroupID: groupBytes,
		Long: `Encode, decode and hash canonical values. Their JSON view is described in
RFC-MYTHOS-0001 §6: integers, text, lists and text-keyed maps look as expected; bytes
are {"$bytes":"<hex>"}, other maps {"$map":[[key,value],...]}.`,
		Example: "  echo '[1,\"a\"]' | mythos can encode --hex\n  mythos can decode value.bin\n  mythos can hash value.bin",
	}, newCanEncode(a), newCanDecode(a), newCanHash(a))
}

// fileArg returns the optional file argument.
func fileArg(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return list[0]
}

type canEncodeOptions struct {
	*app
	hex bool
	out string
}

func newCanEncode(a *app) *cobra.Command {
	o := &canEncodeOptions{app: a}
	cmd := &cobra.Command{
		Use: "encode [FILE]", Short: "Encode a JSON view to canonical bytes", Args: args(cobra.MaximumNArgs(1)),
		Long:    `Encode the JSON view in FILE, or on standard input, to canonical bytes.`,
		Example: "  echo '{\"b\":2,\"a\":1}' | mythos can encode --hex\n  mythos can encode value.json -o value.bin",
		RunE:    func(_ *cobra.Command, list []string) error { return o.run(fileArg(list)) },
	}
	cmd.Flags().BoolVar(&o.hex, "hex", false, "print hex instead of bytes")
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	return exits(cmd, 3)
}

func (o *canEncodeOptions) run(path string) error {
	text, err := o.readInput(path, maxValue)
	if errors.Is(err, fs.ErrNotExist) && json.Valid([]byte(path)) {
		err = fault.New(ErrInput, "there is no such file; give FILE the name of one, or the JSON itself on standard input").About(path)
	}
	if err != nil {
		return err
	}
	raw, err := can.FromJSON(text)
	if err != nil {
		return aboutInput(path, err)
	}
	if o.hex {
		return o.writeOutput(o.out, append(hex.AppendEncode(nil, raw), '\n'), false)
	}
	return o.writeOutput(o.out, raw, true)
}

type canReadOptions struct {
	*app
	hex bool
}

// value reads one canonical value, checked, from bytes or hex.
func (o *canReadOptions) value(path string) ([]byte, error) {
	raw, err := o.readInput(path, maxValue)
	if err != nil {
		return nil, err
	}
	if o.hex {
		if raw, err = decodeHex(path, bytes.TrimSpace(raw)); err != nil {
			return nil, err
		}
	}
	return raw, aboutInput(path, can.Valid(raw))
}

// decodeHex reads hex digits, in either case and with nothing between them.
func decodeHex(path string, text []byte) ([]byte, error) {
	const digits = "0123456789abcdefABCDEF"
	for i, c := range text {
		if strings.IndexByte(digits, c) < 0 {
			return nil, usagef("%s is not hex: got %q at digit %d", inputName(path), c, i+1)
		}
	}
	raw, err := hex.AppendDecode(nil, text)
	if err != nil {
		return nil, usagef("%s is not hex: its last byte has one digit", inputName(path))
	}
	return raw, nil
}

func newCanDecode(a *app) *cobra.Command {
	o := &canReadOptions{app: a}
	cmd := &cobra.Command{
		Use: "decode [FILE]", Short: "Show canonical bytes as their JSON view", Args: args(cobra.MaximumNArgs(1)),
		Long: `Show the canonical value in FILE, or on standard input, as its JSON view. Bytes that
are not canonical are refused with the offset of the first fault.`,
		Example: "  mythos can decode manifest.bin\n  echo 07020301060161 | mythos can decode --hex",
		RunE: func(_ *cobra.Command, list []string) error {
			raw, err := o.value(fileArg(list))
			if err != nil {
				return err
			}
			text, err := can.AppendJSON(nil, raw)
			if err != nil {
				return err
			}
			return o.printText(string(escapeJSON(append(text, '\n'))))
		},
	}
	cmd.Flags().BoolVar(&o.hex, "hex", false, "the input is hex")
	return exits(cmd, 3)
}

func newCanHash(a *app) *cobra.Command {
	o := &canReadOptions{app: a}
	cmd := &cobra.Command{
		Use: "hash [FILE]", Short: "Print the SHA-256 of canonical bytes", Args: args(cobra.MaximumNArgs(1)),
		Long: `Print the SHA-256 of the canonical value in FILE, or on standard input, which is
checked first.`,
		Example: "  mythos can hash manifest.bin\n  echo 'null' | mythos can encode | mythos can hash",
		RunE: func(_ *cobra.Command, list []string) error {
			raw, err := o.value(fileArg(list))
			if err != nil {
				return err
			}
			return o.printText(cid.Sum(raw).String() + "\n")
		},
	}
	cmd.Flags().BoolVar(&o.hex, "hex", false, "the input is hex")
	return exits(cmd, 3)
}
