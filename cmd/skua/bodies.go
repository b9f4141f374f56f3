package main

import (
	"fmt"
	"os"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/codec/protobuf"
)

const serializerProtobuf = "protobuf"

// serializers are the choices of gate.serializer.
var serializers = []string{"json", "msgpack", serializerProtobuf, "raw"} //nolint:gochecknoglobals // a constant

// bodies makes what codes the bodies of a gate's messages; key is the gate's.
func (n *node) bodies(key string, g *GateConfig) (codec.Format, error) {
	switch g.Serializer {
	case "msgpack":
		return codec.Msgpack{}, nil
	case "raw":
		return codec.Raw{}, nil
	case serializerProtobuf:
		routes := map[string]protobuf.Types{}
		for table, set := range map[*map[string]string]func(t *protobuf.Types, message string){
			&g.ProtobufRequests: func(t *protobuf.Types, message string) { t.Request = message },
			&g.ProtobufAnswers:  func(t *protobuf.Types, message string) { t.Response = message },
			&g.ProtobufPushes:   func(t *protobuf.Types, message string) { t.Push = message },
		} {
			for route, message := range *table {
				t := routes[route]
				set(&t, message)
				routes[route] = t
			}
		}
		f, err := protobuf.New(protobuf.Config{Files: os.DirFS(n.project.cfg.Path(".")), Names: g.Protobuf, Routes: routes})
		if err != nil {
			return nil, fmt.Errorf("%s.protobuf: %w", key, err)
		}
		return f, nil
	default:
		return codec.JSON{}, nil
	}
}
