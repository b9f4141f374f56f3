package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// jsonOptions write and read what JSON does not know. Everything that is no JSON of its own is text in base64, in the form that it has outside of JSON.
func (c *Coder) jsonOptions() json.Options {
	return json.JoinOptions(
		json.WithMarshalers(json.JoinMarshalers(
			json.MarshalToFunc(func(e *jsontext.Encoder, ref actor.Ref) error { return writeBytes(e, c.AppendRef(nil, ref)) }),
			json.MarshalToFunc(writeList),
			json.MarshalToFunc(func(e *jsontext.Encoder, v value.Value) error { return writeList(e, v.List()) }),
			json.MarshalToFunc(func(e *jsontext.Encoder, d time.Duration) error { return e.WriteToken(jsontext.Int(int64(d))) }),
			json.MarshalToFunc(func(e *jsontext.Encoder, err error) error {
				if e.StackDepth() == 0 { // the message itself is an error, and this is the form of its own that AppendError looks for
					return errors.ErrUnsupported
				}
				return writeBytes(e, c.AppendError(nil, err))
			}),
		)),
		json.WithUnmarshalers(json.JoinUnmarshalers(
			json.UnmarshalFromFunc(func(d *jsontext.Decoder, ref *actor.Ref) error {
				return readBytes(d, func(data []byte) error {
					r := c.Reader(data)
					*ref = r.Ref()
					return r.End()
				})
			}),
			json.UnmarshalFromFunc(func(d *jsontext.Decoder, l *value.List) error {
				return c.readList(d, func(got value.List) { *l = got })
			}),
			json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *value.Value) error {
				return c.readList(d, func(got value.List) { *v = got.At(0) })
			}),
			json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *time.Duration) error {
				var n int64
				err := json.UnmarshalDecode(d, &n)
				*v = time.Duration(n)
				return err
			}),
			json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *error) error {
				if d.PeekKind() == 'n' {
					*v = nil
					return d.SkipValue()
				}
				return readBytes(d, func(data []byte) (bad error) {
					*v, bad = c.ParseError(data)
					return bad
				})
			}),
		)),
	)
}

func writeList(e *jsontext.Encoder, l value.List) error {
	data, err := AppendList(nil, l)
	if err != nil {
		return err
	}
	return writeBytes(e, data)
}

func (c *Coder) readList(d *jsontext.Decoder, set func(value.List)) error {
	return readBytes(d, func(data []byte) error {
		r := c.Reader(data)
		set(r.List())
		return r.End()
	})
}

func writeBytes(e *jsontext.Encoder, data []byte) error {
	return e.WriteToken(jsontext.String(base64.StdEncoding.EncodeToString(data)))
}

func readBytes(d *jsontext.Decoder, read func([]byte) error) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '"' {
		return fmt.Errorf("%w: expected a string, got %v", ErrFormat, tok.Kind())
	}
	data, err := base64.StdEncoding.DecodeString(tok.String())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return read(data)
}
