package amf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/flv/amf"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	b := amf.Append(nil, "connect", 1, nil, amf.Object{{Key: "app", Value: "live"}, {Key: "ok", Value: true}}, amf.Array{{Key: "n", Value: 2.5}}, []string{"a", "b"}, long)
	got, err := amf.Decode(b)
	want := []any{"connect", 1.0, nil, amf.Object{{Key: "app", Value: "live"}, {Key: "ok", Value: true}}, amf.Object{{Key: "n", Value: 2.5}}, []any{"a", "b"}, long}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// nested is objects in objects, to any depth.
func nested(depth int) []byte {
	return bytes.Repeat([]byte{3, 0, 1, 'a'}, depth)
}

func TestDeepNestingIsAnErrorAndNoStack(t *testing.T) {
	for name, b := range map[string][]byte{
		"8 MB of nested objects": nested(2 << 20),
		"nested arrays":          bytes.Repeat([]byte{0x0a, 0, 0, 0, 1}, 1<<20),
		"nested ECMA arrays":     bytes.Repeat([]byte{0x08, 0, 0, 0, 1, 0, 1, 'a'}, 1<<20),
		"an array of 2^32":       {0x0a, 0xff, 0xff, 0xff, 0xff, 5},
		"a string of 2^32":       {0x0c, 0xff, 0xff, 0xff, 0xff, 'x'},
		"too many values":        bytes.Repeat([]byte{5}, amf.MaxValues+1),
		"AMF3":                   {0x11, 1},
		"cut off":                binary.BigEndian.AppendUint32([]byte{0}, 7),
	} {
		_, err := amf.Decode(b)
		if !errors.Is(err, amf.ErrFormat) || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(amf.Append(nil, "connect", 1, amf.Object{{Key: "app", Value: "live"}}, amf.Array{}, []string{"a"}))
	f.Add(nested(100))
	f.Add([]byte{0x0a, 0, 0, 0, 2, 5, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := amf.Decode(b)
		if err != nil && !errors.Is(err, amf.ErrFormat) {
			t.Errorf("an error of another kind: %v", err)
		}
		if len(values) > amf.MaxValues {
			t.Errorf("%d values", len(values))
		}
	})
}
