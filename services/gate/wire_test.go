package gate_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/skua-go/skua/actor"
	actorwire "github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/services/gate"
)

// coder writes and reads what gates tell each other.
func coder(t testing.TB) *actorwire.Coder {
	types := actorwire.NewTypes()
	gate.WireTypes(types)
	if err := types.Err(); err != nil {
		t.Fatal(err)
	}
	own, peer := actor.NewNode("a", 1, nil), actor.NewNode("b", 2, nil)
	return actorwire.NewCoder(types, own, peer, func(name string, incarnation uint64) (*actor.Node, error) {
		return actor.NewNode(name, incarnation, nil), nil
	})
}

func TestWhatGatesTellEachOtherComesAsItWasSent(t *testing.T) {
	c := coder(t)
	for _, msg := range gate.WireSamples(actor.NewNode("c", 3, nil).Ref) {
		data, err := c.Append(nil, msg)
		if err != nil {
			t.Fatalf("%T: %v", msg, err)
		}
		back, err := c.Parse(data)
		if err != nil {
			t.Errorf("%T: %v", msg, err)
			continue
		}
		again, err := c.Append(nil, back)
		if err != nil || !bytes.Equal(again, data) || reflect.TypeOf(back) != reflect.TypeOf(msg) {
			t.Errorf("%T came as %T %+v, %v", msg, back, back, err)
		}
		for n := range data { // cut anywhere, it is an error, or nothing that panics
			_, _ = c.Parse(data[:n])
		}
	}
}

func FuzzWhatGatesTellEachOther(f *testing.F) {
	c := coder(f)
	for _, msg := range gate.WireSamples(actor.NewNode("c", 3, nil).Ref) {
		data, err := c.Append(nil, msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := c.Parse(data)
		if err != nil {
			return
		}
		if _, err := c.Append(nil, msg); err != nil {
			t.Fatalf("%T was read, and can't be written: %v", msg, err)
		}
	})
}
