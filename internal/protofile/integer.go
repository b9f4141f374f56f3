package protofile

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// AppendInteger appends n as a field of that kind, which is one of integers, has it on the wire. One that is out of the kind's range is an error, and dst is then
// returned as it was; of the 64-bit kinds without a sign, n has the bits.
func AppendInteger(dst []byte, k protoreflect.Kind, n int64) ([]byte, error) {
	inRange := true
	switch k {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		inRange = n == int64(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		inRange = n == int64(uint32(n))
	}
	if !inRange {
		return dst, fmt.Errorf("%d is out of the range of %s", n, k)
	}
	switch k {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protowire.AppendVarint(dst, protowire.EncodeZigZag(n)), nil
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.AppendFixed32(dst, uint32(n)), nil
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(dst, uint64(n)), nil
	default:
		return protowire.AppendVarint(dst, uint64(n)), nil
	}
}
