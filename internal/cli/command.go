package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrUsage is the code of a mistake in the command line.
const ErrUsage fault.Code = "usage"

// root returns the program's root command.
func (a *app) root(short string) *cobra.Command {
	root := group(&cobra.Command{Use: a.name, Short: short})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion is ours
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.HasSubCommands() && noSuchCommand(cmd, cmd.Flags().Args()) != nil {
			return noSuchCommand(cmd, cmd.Flags().Args()) // it says more than that a flag is unknown
		}
		return flagError(err)
	})
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(helpTemplate)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := noEmptyFlag(cmd); err != nil {
			return err
		}
		return a.flagsFromEnv(cmd)
	}
	version := root.Flags().Bool("version", false, "show the version of this program")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			return (&versionOptions{app: a}).run()
		}
		return cmd.Help()
	}
	root.PersistentFlags().BoolP("help", "h", false, "show this help")
	templateFuncs()
	return root
}

// templateFuncs adds what the help template calls, to state of the whole program.
var templateFuncs = sync.OnceFunc(func() { cobra.AddTemplateFunc("flags", flagUsages) })

// newHelp is "help COMMAND", for those who type it that way.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command", Hidden: true,
		RunE: func(cmd *cobra.Command, list []string) error {
			of, rest, err := cmd.Root().Find(list)
			if err == nil {
				err = noSuchCommand(of, rest)
			}
			if err != nil {
				return err
			}
			return of.Help()
		},
	}
}

// group makes cmd a command that only holds others.
func group(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.Args = noSuchCommand
	cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	cmd.AddCommand(subs...)
	return cmd
}

// noSuchCommand is the argument check of a group: any argument is a command
// that does not exist.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		msg += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("%s", msg)
}

// usagef returns a mistake in the command line.
func usagef(format string, args ...any) error { return fault.New(ErrUsage, format, args...) }

// args makes the errors of a check of positional arguments usage errors.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, list []string) error {
		if err := check(cmd, list); err != nil {
			return usagef("%w: usage is %s", err, cmd.UseLine())
		}
		return nil
	}
}

// exitKey is the annotation with a command's exit codes.
const exitKey = "exit"

// exits says how a command may end, beside 0, 1, 2 and 130, which are always
// possible.
func exits(cmd *cobra.Command, codes ...int) *cobra.Command {
	codes = append(codes, 0, 1, 2, exitInterrupted)
	slices.Sort(codes)
	var b strings.Builder
	for _, c := range slices.Compact(codes) {
		fmt.Fprintf(&b, "\n  %3d  %s", c, exitMeaning(c))
	}
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[exitKey] = b.String()
	return cmd
}

// exitMeaning is the row of an exit code in help (RFC-MYTHOS-0001 §7).
func exitMeaning(code int) string {
	switch code {
	case 0:
		return "success"
	case 2:
		return "a mistake in the command line"
	case 3:
		return "verification failed"
	case 4:
		return "denied: a capability, policy or signature is missing"
	case 5:
		return "conflict, divergence or an effect in doubt"
	case 6:
		return "not found"
	case 7:
		return "something needed is unavailable"
	case 8:
		return "a module or the program failed while it ran"
	case exitInterrupted:
		return "interrupted"
	}
	return "any other failure"
}

// helpTemplate renders help and usage alike.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}USAGE
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}
COMMANDS{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{else}}{{range $group := .Groups}}
{{.Title}}{{range $cmds}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{end}}{{end}}{{with flags .}}
FLAGS
{{.}}{{end}}{{if .HasExample}}
EXAMPLES
{{.Example}}
{{end}}{{with index .Annotations "exit"}}
EXIT STATUS{{.}}
{{end}}{{if .HasAvailableSubCommands}}
{{.CommandPath}} COMMAND --help says more about a command.
{{end}}`

// flagUsages lists a command's flags with the variables that may stand for
// them.
func flagUsages(cmd *cobra.Command) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags = false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if name := envName(f); name != "" {
			c := *f
			c.Usage += " [$" + name + "]"
			f = &c
		}
		shown.AddFlag(f)
	})
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { shown.AddFlag(f) })
	return shown.FlagUsages()
}

// noEnvKey is the annotation of a flag that no environment variable stands for.
const noEnvKey = "no_env"

// noEnv keeps flags out of the environment: those whose name means something else to
// another command, so that one variable would say two things.
func noEnv(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		_ = f.SetAnnotation(name, noEnvKey, nil) // fails for a flag that is not there, which TestEnvironmentMeansOneThing would see
	}
}

// envName is the environment variable that stands for a flag, "" for none.
func envName(f *pflag.Flag) string {
	if _, none := f.Annotations[noEnvKey]; none {
		return ""
	}
	switch f.Name {
	case "help", "version":
		return ""
	case "from", "to", "name", "kind": // of something else in almost every command
		return ""
	}
	return "MYTHOS_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// flagsFromEnv sets the flags that the command line leaves out from the
// environment. A variable for a flag that may be repeated holds values
// separated by commas.
func (a *app) flagsFromEnv(cmd *cobra.Command) error {
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := envName(f)
		if name == "" || f.Changed || first != nil {
			return
		}
		if text := a.Getenv(name); text != "" {
			if err := setFlag(f, text); err != nil {
				first = usagef("%s=%q: %s", name, text, mustBe(f, err))
			}
		}
	})
	return first
}

func setFlag(f *pflag.Flag, text string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(strings.Split(text, ","))
	}
	return f.Value.Set(text)
}

// noEmptyFlag refuses a flag that is given without any text, which is what a
// shell makes of a variable that is not set: the flag's default may do something
// else than was meant.
func noEmptyFlag(cmd *cobra.Command) error {
	var first error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if first == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			first = usagef("--%s is empty; leave it out if its default is meant", f.Name)
		}
	})
	return first
}

// flagError says what a flag's value must be, if that is what is wrong.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return usagef("--%s %q: %s", bad.GetFlag().Name, bad.GetValue(), mustBe(bad.GetFlag(), err))
	}
	return usagef("%w", err)
}

// typeCount is the type of a flag that counts something, and mustCount what it takes.
const (
	typeCount = "count"
	mustCount = "must be 1 to 4294967295"
)

// mustBe describes the values that a flag takes; err is why it refused one.
func mustBe(f *pflag.Flag, err error) string {
	switch f.Value.Type() {
	case "bool":
		return "must be true or false"
	case "int":
		return "must be a whole number"
	case "uint8":
		return "must be 0 to 255"
	case typeCount:
		return mustCount
	}
	return err.Error()
}
