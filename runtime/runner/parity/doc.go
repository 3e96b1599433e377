// Package parity tests tools as they are built and run. Its first test is that
// whatever language a tool is written in, the same request gives the same bytes
// (RFC-MYTHOS-0006 §10): it sends generated requests, some of which cannot be
// decoded, to the echo tool in every language, wasm modules through the product's
// own runner and processes over frames, and compares each ToolResponse with the
// one that the product's codec makes.
//
// The guests in Go, JavaScript and Python need nothing but their toolchains. The
// others are built by scripts/parity.sh, which names them in
// MYTHOS_ECHO_GUESTS as "name=wasm:FILE" or "name=process:COMMAND", separated by
// semicolons.
//
// The other tests run the tools http-fetch, csv-query and kv once as a package's
// build commands make them.
package parity
