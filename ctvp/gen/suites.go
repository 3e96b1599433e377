package main

import (
	"context"

	"github.com/mythos-run/mythos/runtime/conformance"
)

// build makes the pack, one line for each suite. Suites are added at the end.
func build() (*pack, error) {
	impl, err := conformance.Local(context.Background())
	if err != nil {
		return nil, err
	}
	p := newPack(impl)
	for _, suite := range []func(*pack){
		can,
		structs,
		hash,
		sig,
		confusion,
		codebook,
		merkleSuite,
		blobSuite,
		wireSuite,
		toolSuite,
		receiptSuite,
		ledgerSuite,
		capsSuite,
		irSuite,
		packageSuite,
		datasetSuite,
		mutantCases,
		logSuite,
		ringsSuite,
	} {
		suite(p)
	}
	return p, p.check()
}
