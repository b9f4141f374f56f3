package codec_test

import (
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

func TestFormatsNameThemselves(t *testing.T) {
	for want, f := range map[string]codec.Format{"json": codec.JSON{}, "msgpack": codec.Msgpack{}, "raw": codec.Raw{}} {
		if f.Name() != want {
			t.Errorf("%T is called %q", f, f.Name())
		}
		body := f.AppendError([]byte("x"), codec.Error{Code: "not_found", Msg: "no \"such\" player", Metadata: map[string]string{"id": "7"}})
		if want := `x{"code":"not_found","msg":"no \"such\" player","metadata":{"id":"7"}}`; string(body) != want {
			t.Errorf("%s: the error is %s", f.Name(), body)
		}
	}
	if body := (codec.JSON{}).AppendError(nil, codec.Error{Code: "c"}); string(body) != `{"code":"c","msg":""}` || !json.Valid(body) {
		t.Errorf("Pitaya's Unity client wants code and msg, got %s", body)
	}
}

func TestRawBodiesAreStrings(t *testing.T) {
	for _, text := range []string{"", "text", "\xff\x00"} {
		v, err := codec.Parse(codec.Raw{}, "r", codec.Request, []byte(text))
		if s, ok := v.Str(); err != nil || !ok || s != text {
			t.Errorf("%q became %v, %v", text, v, err)
		}
		if out, err := (codec.Raw{}).Append([]byte("x"), "r", codec.Push, v); err != nil || string(out) != "x"+text {
			t.Errorf("%q became %q, %v", text, out, err)
		}
	}
	if out, err := (codec.Raw{}).Append([]byte("x"), "r", codec.Push, value.Value{}); err != nil || string(out) != "x" {
		t.Errorf("nil became %q, %v", out, err)
	}
	out, err := codec.Raw{}.Append([]byte("x"), "r", codec.Response, value.Of(1).At(0))
	if !errors.Is(err, codec.ErrRaw) || string(out) != "x" || !strings.Contains(err.Error(), `the response of "r" is a integer`) {
		t.Errorf("an integer became %q, %v", out, err)
	}
}

// TestHostileBodiesTakeBoundedMemory sends what takes most memory for its bytes. A value takes 32 bytes and is announced by one at least.
func TestHostileBodiesTakeBoundedMemory(t *testing.T) {
	const size = 64 << 10
	for name, c := range map[string]struct {
		f    codec.Format
		body string
	}{
		"arrays of msgpack that announce more": {codec.Msgpack{}, strings.Repeat("\xdd\xff\xff\xff\xff", size/5)},
		"nils of msgpack":                      {codec.Msgpack{}, "\xdd\x00\x00\xff\xfb" + strings.Repeat("\xc0", size-5)},
		"numbers of JSON":                      {codec.JSON{}, "[" + strings.Repeat("1,", size/2-1) + "1]"},
		"empty objects of JSON":                {codec.JSON{}, "[" + strings.Repeat("{},", size/3-1) + "1]"},
		"arrays of JSON":                       {codec.JSON{}, strings.Repeat("[", size)},
		"names of JSON":                        {codec.JSON{}, "{" + strings.Repeat(`"":1,`, size/5)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Parse(c.f, "r", codec.Request, []byte(c.body))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 256*size { // what grows is copied some times
			t.Errorf("%s: %d bytes made us allocate %d, %v", name, len(c.body), took, err)
		}
	}
}
