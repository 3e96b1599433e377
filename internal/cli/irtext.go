package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

func newIR(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "ir", Short: "Assemble and disassemble programs", GroupID: groupBytes,
		Long:    "Assemble IR text to a bundle and disassemble a bundle to text (RFC-MYTHOS-0012 §8).",
		Example: "  mythos ir asm packages/demo-001/ir/hello.mir -o hello.bin\n  mythos ir disasm hello.bin",
	}, newIRCommand(a, irAsm()), newIRCommand(a, irDisasm()))
}

// irCommand is one direction between text and bundle.
type irCommand struct {
	use, short, long, example string
	limit                     int64
	convert                   func([]byte) ([]byte, error)
	binary                    bool // the result is no text
}

func irAsm() irCommand {
	return irCommand{
		use: "asm FILE", short: "Assemble text to a bundle",
		long: `Assemble IR text to the canonical bytes of its bundle. FILE is "-" for standard
input. Errors name line and column.`,
		example: "  mythos ir asm hello.mir -o hello.bin\n  mythos ir asm - < hello.mir | mythos can hash",
		limit:   ir.MaxSource, convert: ir.Assemble, binary: true,
	}
}

func irDisasm() irCommand {
	return irCommand{
		use: "disasm FILE", short: "Disassemble a bundle to text",
		long:    `Disassemble a bundle to the text that assembles to the same bytes. FILE is "-" for standard input.`,
		example: "  mythos ir disasm dist/demo-001-0.1.0/ir/hello.bin",
		limit:   ir.MaxBundle, convert: ir.Disassemble,
	}
}

func newIRCommand(a *app, c irCommand) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: c.use, Short: c.short, Long: c.long, Example: c.example, Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, list []string) error {
			in, err := a.readInput(list[0], c.limit)
			if err != nil {
				return err
			}
			result, err := c.convert(in)
			if err != nil {
				return c.fault(list[0], err)
			}
			return a.writeOutput(out, result, c.binary)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write instead of standard output")
	return exits(cmd, 3)
}

// fault names the input that an error is about, as FILE:LINE:COLUMN if it is
// text.
func (c irCommand) fault(path string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject != "" {
		gap := ": "
		if c.binary {
			gap = ":"
		}
		return e.About(inputName(path) + gap + e.Subject)
	}
	return aboutInput(path, err)
}

// writeOutput writes a result to a file, whole or not at all, or to standard
// output.
func (a *app) writeOutput(path string, b []byte, binary bool) error {
	switch {
	case path != "" && path != "-":
		return fileError(path, atomicfile.Write(path, b, 0o644))
	case binary:
		return a.printBinary(b)
	}
	return a.printText(string(b))
}
