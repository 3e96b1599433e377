package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/node"
)

type storeQuotaOptions struct {
	*app
	json bool
}

func newStoreQuota(a *app) *cobra.Command {
	o := &storeQuotaOptions{app: a}
	cmd := &cobra.Command{
		Use: "quota [SIZE|none]", Short: "Show or set how large the store may become", Args: args(cobra.MaximumNArgs(1)),
		Long: `Show or set how large the store may become, as bytes or with K, M, G or T behind the
number for powers of 1024, and say how much of it is used. What would not fit is
refused with store_full; what is stored stays. It counts the files of objects and
packs. Processes that write already, such as a registry, heed it within a minute.`,
		Example: "  mythos store quota 20G\n  mythos store quota none\n  mythos store quota --json",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.quota(cmd.Context(), list) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

// quotaView is what store quota --json prints, in bytes.
type quotaView struct {
	Schema string `json:"schema"`
	Quota  *int64 `json:"quota"` // null for none
	Used   int64  `json:"used"`
}

func (o *storeQuotaOptions) quota(ctx context.Context, list []string) error {
	limit := int64(0)
	if len(list) == 1 && list[0] != "none" {
		var err error
		if limit, err = parseSize(list[0]); err != nil {
			return err
		}
	}
	return o.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		if len(list) == 1 {
			if err := s.SetQuota(limit); err != nil {
				return err
			}
		}
		x, err := s.Stat(ctx)
		if err != nil {
			return err
		}
		return o.print(x.Quota, x.Bytes())
	})
}

func (o *storeQuotaOptions) print(quota, used int64) error {
	v := quotaView{"mythos.store.quota/1", nil, used}
	limit := "none"
	if quota > 0 {
		v.Quota, limit = &quota, byteSize(quota)
		if used >= quota {
			o.note("the store is full: nothing can be added until the quota is raised or \"mythos store gc\" finds something to remove")
		}
	}
	if o.json {
		return o.printJSON(v)
	}
	return o.printf("quota  %s\nused   %s\n", limit, byteSize(used))
}

// parseSize reads a number of bytes, at least one.
func parseSize(text string) (int64, error) {
	digits, shift := strings.ToUpper(text), 0
	if i := strings.IndexAny("KMGT", digits[max(0, len(digits)-1):]); i >= 0 && digits != "" {
		digits, shift = digits[:len(digits)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, usagef("%.40q is no size: give bytes, or a number with K, M, G or T, such as 20G", text)
	}
	return n << shift, nil
}
