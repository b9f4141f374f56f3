package grain_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/grain"
)

// coder writes and reads what nodes tell each other of their grains.
func coder(t testing.TB) *wire.Coder {
	t.Helper()
	types := wire.NewTypes()
	grain.WireTypes(types)
	if err := types.Err(); err != nil {
		t.Fatal(err)
	}
	own, peer := actor.NewNode("a", 1, nil), actor.NewNode("b", 2, nil)
	return wire.NewCoder(types, own, peer, func(name string, incarnation uint64) (*actor.Node, error) {
		return actor.NewNode(name, incarnation, nil), nil
	})
}

func TestWhatNodesTellEachOtherComesAsItWasSent(t *testing.T) {
	c := coder(t)
	for _, msg := range grain.WireSamples() {
		data, err := c.Append(nil, msg)
		if err != nil {
			t.Fatalf("%T: %v", msg, err)
		}
		back, err := c.Parse(data)
		if err != nil || !reflect.DeepEqual(back, msg) {
			t.Errorf("%#v came as %#v, %v", msg, back, err)
		}
	}
}

func TestANodeIsAskedForABoundedNumberOfGrains(t *testing.T) {
	c := coder(t)
	data, err := c.Append(nil, grain.HeldOf(513))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Parse(data); err == nil {
		t.Errorf("513 grains are taken: %T", v)
	}
}

func FuzzWhatNodesTellEachOther(f *testing.F) {
	c := coder(f)
	for _, msg := range append(grain.WireSamples(), grain.HeldOf(513)) {
		data, err := c.Append(nil, msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := c.Parse(data)
		if err != nil {
			return
		}
		again, err := c.Append(nil, msg)
		if err != nil {
			return // plain values have forms that are read and not written
		}
		back, err := c.Parse(again)
		if err != nil {
			t.Fatalf("%#v was read, written, and is refused: %v", msg, err)
		}
		if once, err := c.Append(nil, back); err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%#v came back as %#v, %v", msg, back, err)
		}
	})
}
