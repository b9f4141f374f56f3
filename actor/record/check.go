package record

import (
	"encoding"
	"fmt"
	"reflect"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// checker looks for what JSON would lose of a type. It would do so without a word.
type checker struct {
	seen  map[reflect.Type]bool
	open  bool // somewhere in it is an any
	doubt bool // only the value can tell whether it comes back as it was
}

// check says where in a type something would be lost.
func (c *checker) check(t reflect.Type, path string) error {
	if c.seen[t] {
		return nil
	}
	c.seen[t] = true
	if own, err := writesItself(t, path); own {
		c.doubt = c.doubt || !sure(t)
		return err
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return c.check(t.Elem(), path)
	case reflect.Map:
		if err := checkKey(t.Key(), path); err != nil {
			return err
		}
		c.doubt = true // two keys may have one name
		return c.check(t.Elem(), path)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s is a %v: what is in it can't be told from JSON", path, t)
		}
		c.open, c.doubt = true, true
		return nil
	case reflect.Struct:
		return c.checkFields(t, path)
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("%s is a %v, which JSON does not have", path, t)
	default:
		return nil
	}
}

// checkKey tells whether the keys of a map can be names.
func checkKey(t reflect.Type, path string) error {
	if own, err := writesItself(t, path); own {
		return err
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	default:
		return fmt.Errorf("%s has keys that are %v, which can't be names in JSON", path, t)
	}
}

func (c *checker) checkFields(t reflect.Type, path string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := path + "." + f.Name
		switch tag := f.Tag.Get("json"); {
		case f.Name == "_" || f.Type.Size() == 0 && !f.IsExported(): // holds nothing
		case tag == "-":
			return fmt.Errorf("%s is left out of JSON by its tag", at)
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			if err := c.check(f.Type, at); err != nil {
				return err
			}
		case !f.IsExported():
			return fmt.Errorf("%s is not exported, so JSON leaves it out", at)
		default:
			if err := c.check(f.Type, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// sure tells whether a type that writes itself comes back as it was, whatever the value.
func sure(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[actor.Ref](), reflect.TypeFor[value.List](), reflect.TypeFor[value.Value](),
		reflect.TypeFor[time.Duration](), reflect.TypeFor[time.Time]():
		return true
	}
	return false
}

// writesItself tells whether a type has a form of its own in JSON, and can be read from that.
func writesItself(t reflect.Type, path string) (bool, error) {
	if sure(t) || t == reflect.TypeFor[error]() {
		return true, nil
	}
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer { // what it points to decides
		return false, nil
	}
	p := reflect.PointerTo(t)
	writes := implements(p, reflect.TypeFor[json.MarshalerTo](), reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextAppender](),
		reflect.TypeFor[encoding.TextMarshaler]())
	reads := implements(p, reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]())
	if writes && !reads {
		return true, fmt.Errorf("%s is a %v, which writes its own JSON and can't read it", path, t)
	}
	return writes, nil
}

func implements(t reflect.Type, oneOf ...reflect.Type) bool {
	for _, i := range oneOf {
		if t.Implements(i) {
			return true
		}
	}
	return false
}

// checkOpen says where something is in an any that would come back as another type.
func checkOpen(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() || v.Type().NumMethod() > 0 { // the latter is an error
			return nil
		}
		return checkPlain(v.Elem(), path)
	case reflect.Pointer:
		return checkOpen(v.Elem(), path)
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
			return nil
		}
		for i := range v.Len() {
			if err := checkOpen(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for key, e := range v.Seq2() {
			if err := checkOpen(e, fmt.Sprintf("%s[%v]", path, key)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if own, _ := writesItself(v.Type(), path); own {
			return nil
		}
		for i := range v.NumField() {
			if err := checkOpen(v.Field(i), path+"."+v.Type().Field(i).Name); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

// checkPlain is for what is in an any.
func checkPlain(v reflect.Value, path string) error {
	switch v.Type() {
	case reflect.TypeFor[bool](), reflect.TypeFor[int64](), reflect.TypeFor[float64](), reflect.TypeFor[string]():
		return nil
	case reflect.TypeFor[[]any](), reflect.TypeFor[map[string]any]():
		if !v.IsNil() {
			return checkOpen(v, path)
		}
	}
	return fmt.Errorf("%s has a %v in an any, which would come back as another type: only bool, int64, float64, string, []any and map[string]any come back",
		path, v.Type())
}
