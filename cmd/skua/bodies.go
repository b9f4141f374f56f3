package main

import (
	"fmt"
	"os"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/codec/protobuf"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/services/gate"
)

const serializerProtobuf = "protobuf"

// serializers are the choices of gate.serializer.
var serializers = []string{"json", "msgpack", serializerProtobuf, "raw"} //nolint:gochecknoglobals // a constant

// bodies makes what codes the bodies of a gate's messages; key is the gate's.
func (n *node) bodies(key string, g *GateConfig) (gate.Bodies, error) {
	switch g.Serializer {
	case "msgpack":
		return formatted{codec.Msgpack{}}, nil
	case "raw":
		return formatted{codec.Raw{}}, nil
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
		return formatted{f}, nil
	default:
		return formatted{codec.JSON{}}, nil
	}
}

// formatted are bodies in one of the formats of actor/codec.
type formatted struct{ codec.Format }

// Parse reads what a client has sent.
func (f formatted) Parse(route string, body []byte) (value.Value, error) {
	return codec.Parse(f.Format, route, codec.Request, body)
}

// AppendAnswer writes the answer to a request.
func (f formatted) AppendAnswer(dst []byte, route string, v value.Value) ([]byte, error) {
	return f.Append(dst, route, codec.Response, v)
}

// AppendPush writes a push.
func (f formatted) AppendPush(dst []byte, route string, v value.Value) ([]byte, error) {
	return f.Append(dst, route, codec.Push, v)
}
