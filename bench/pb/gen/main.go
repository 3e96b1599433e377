// Command gen writes pb/objects.pb.go: the structs that the codec benchmark
// compares, as protobuf messages. It makes the descriptor itself and hands it
// to protoc-gen-go, so that no protoc is needed. Run it in bench/:
//
//	go run ./pb/gen
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	u32   = descriptorpb.FieldDescriptorProto_TYPE_UINT32
	i64   = descriptorpb.FieldDescriptorProto_TYPE_SINT64
	octet = descriptorpb.FieldDescriptorProto_TYPE_BYTES
	text  = descriptorpb.FieldDescriptorProto_TYPE_STRING
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{objects.GetName()},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{objects},
	})
	if err != nil {
		return err
	}
	plugin := exec.Command("go", "tool", "protoc-gen-go")
	plugin.Stdin, plugin.Stderr = bytes.NewReader(request), os.Stderr
	out, err := plugin.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, f := range response.File {
		if err := os.WriteFile(filepath.FromSlash(f.GetName()), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// objects has the fields and numbers of RFC-MYTHOS-0002.
var objects = &descriptorpb.FileDescriptorProto{
	Name:    proto.String("pb/objects.proto"),
	Package: proto.String("mythos.bench"),
	Syntax:  proto.String("proto3"),
	Options: &descriptorpb.FileOptions{GoPackage: proto.String("github.com/mythos-run/mythos/bench/pb")},
	MessageType: []*descriptorpb.DescriptorProto{
		message("Hash", field(1, "alg", u32), field(2, "digest", octet)),
		message("AgentID", field(1, "scheme", u32), field(2, "key", octet), field(3, "hint", text)),
		message("Signature", field(1, "alg", u32), nested(2, "key_id", "Hash"), field(3, "sig_bytes", octet)),
		message("Receipt",
			nested(1, "receipt_id", "Hash"), nested(2, "tool_id", "Hash"),
			nested(3, "request_hash", "Hash"), nested(4, "response_hash", "Hash"),
			field(5, "idempotency_key", octet), nested(6, "signer", "AgentID"),
			field(7, "time_observed", i64), field(8, "status", u32),
			list(9, "evidence", "Hash"), field(10, "notes", text), nested(11, "signature", "Signature")),
		message("ListLeaf", list(1, "values", "Hash")),
	},
}

func message(name string, fields ...*descriptorpb.FieldDescriptorProto) *descriptorpb.DescriptorProto {
	return &descriptorpb.DescriptorProto{Name: &name, Field: fields}
}

func field(num int32, name string, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: &name, Number: &num, Type: &kind,
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
}

func nested(num int32, name, of string) *descriptorpb.FieldDescriptorProto {
	f := field(num, name, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
	f.TypeName = proto.String(".mythos.bench." + of)
	return f
}

func list(num int32, name, of string) *descriptorpb.FieldDescriptorProto {
	f := nested(num, name, of)
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}
