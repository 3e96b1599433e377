package cli

import (
	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Write a completion script for a shell", GroupID: groupMachine,
		Long: `Write a completion script for a shell to standard output.

Load it in the shell's start-up file, or save it where the shell looks for
completions.`,
		Example: "  source <(" + a.name + " completion bash)\n" +
			"  " + a.name + " completion fish > ~/.config/fish/completions/" + a.name + ".fish",
		ValidArgs: shells,
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, list []string) error {
			root := cmd.Root()
			switch list[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.Out)
		},
	}
	return exits(cmd)
}
