package gate

import (
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

// Bodies is how the bodies of requests, answers and pushes are encoded. Its methods are called by many goroutines at once.
type Bodies interface {
	// Name is what clients are told in the handshake: "json" and the like.
	Name() string
	// Parse reads the body of a request or notify. What it returns shares nothing with body. An error is the client's fault, who reads its text.
	Parse(route string, body []byte) (value.Value, error)
	// AppendAnswer appends the answer to a request of that route,
	AppendAnswer(dst []byte, route string, v value.Value) ([]byte, error)
	// and AppendPush a push. Errors are the fault of whoever made the value. On one dst is returned as it was.
	AppendPush(dst []byte, route string, v value.Value) ([]byte, error)
}

// jsonBodies is JSON, see package codec.
type jsonBodies struct{}

func (jsonBodies) Name() string { return "json" }

func (jsonBodies) Parse(_ string, body []byte) (value.Value, error) { return codec.ParseJSON(body) }

func (jsonBodies) AppendAnswer(dst []byte, _ string, v value.Value) ([]byte, error) {
	return codec.AppendJSON(dst, v)
}

func (jsonBodies) AppendPush(dst []byte, _ string, v value.Value) ([]byte, error) {
	return codec.AppendJSON(dst, v)
}
