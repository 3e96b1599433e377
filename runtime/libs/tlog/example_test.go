package tlog_test

import (
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// The worked example of RFC-MYTHOS-0005 §10.2: the checkpoint over the two entries
// of RFC-MYTHOS-0005 §2.
func Example() {
	var seed [32]byte
	for i := range seed {
		seed[i] = 0x2a
	}
	key := sig.NewKey(seed, "")
	var log tlog.Range
	for _, leaf := range []string{
		"sha256:8949165b95658551db08af7070065cdc265a8f18f719dc7aa27bd36df2bfe723",
		"sha256:3fdf77d2ac7ebc9f37da84d6b2fc7188cd23a3c31e84695ad04bb287749039a6",
	} {
		h, err := cid.Parse(leaf)
		if err != nil {
			fmt.Println(err)
			return
		}
		log.Append(h)
	}
	c := tlog.Checkpoint{Origin: "mythos.run/ledger/8949165b95658551db08af7070065cdc", Size: log.Size(), Root: log.Root()}
	note, err := tlog.Sign(c, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(log.Root())
	fmt.Printf("%08x\n", tlog.LogKey(c.Origin, key.Agent()).ID())
	fmt.Print(string(note))
	// Output:
	// sha256:cdd3f0e94e9914f06cdf87942b6ef3b286f1c11645a50c2f8dbacbf081b2f4be
	// 9fbbbb00
	// mythos.run/ledger/8949165b95658551db08af7070065cdc
	// 2
	// zdPw6U6ZFPBs34eUK27zsobxwRZFpQwvjbrL8IGy9L4=
	//
	// — mythos.run/ledger/8949165b95658551db08af7070065cdc n7u7ALJYTgHc2/E2BfONNbqBhIWa+rGITn0LkfmxmKdCdBFbWffsYOHJrz3w80VEN1rKI4XIRwTzZpU4uIHPm48qYQg=
}
