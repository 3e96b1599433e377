// Package pb holds the objects that the codec benchmark compares, as protobuf
// messages. Command gen, beside it, writes them.
package pb
