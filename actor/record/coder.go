package record

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// coder writes and reads messages. It is for one goroutine.
type coder struct {
	opts json.Options
	seen map[string]actor.Ref                    // the Refs in the message that was written last
	find func(address string) (actor.Ref, error) // for Refs that are read; nil: those that were seen
}

func newCoder() *coder {
	c := &coder{seen: map[string]actor.Ref{}}
	c.opts = json.JoinOptions(
		json.Deterministic(true), json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true), json.RejectUnknownMembers(true),
		json.WithMarshalers(json.JoinMarshalers(
			json.MarshalToFunc(c.writeRef), json.MarshalToFunc(writeDuration), json.MarshalToFunc(writeFloat), json.MarshalToFunc(writeList),
			json.MarshalToFunc(writeValue), json.MarshalToFunc(writeError))),
		json.WithUnmarshalers(json.JoinUnmarshalers(
			json.UnmarshalFromFunc(c.readRef), json.UnmarshalFromFunc(readDuration), json.UnmarshalFromFunc(readListInto), json.UnmarshalFromFunc(readValueInto),
			json.UnmarshalFromFunc(readError), json.UnmarshalFromFunc(readActorError), json.UnmarshalFromFunc(readAny))),
	)
	return c
}

// writeRef writes the address; nobody's is empty.
func (c *coder) writeRef(e *jsontext.Encoder, r actor.Ref) error {
	if r.IsZero() {
		return e.WriteToken(jsontext.String(""))
	}
	c.seen[r.String()] = r
	return e.WriteToken(jsontext.String(r.String()))
}

func (c *coder) readRef(d *jsontext.Decoder, r *actor.Ref) (err error) {
	address, err := readText(d)
	if err != nil || address == "" {
		*r = actor.Ref{}
		return err
	}
	if c.find == nil {
		*r = c.seen[address]
		return nil
	}
	*r, err = c.find(address)
	return err
}

func readText(d *jsontext.Decoder) (string, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	if tok.Kind() != '"' {
		return "", fmt.Errorf("expected a string, got %v", tok.Kind())
	}
	return tok.String(), nil
}

func writeDuration(e *jsontext.Encoder, d time.Duration) error {
	return e.WriteToken(jsontext.String(d.String()))
}

func readDuration(d *jsontext.Decoder, v *time.Duration) error {
	text, err := readText(d)
	if err != nil {
		return err
	}
	*v, err = time.ParseDuration(text)
	return err
}

// writeFloat keeps a float in an any apart from an integer.
func writeFloat(e *jsontext.Encoder, f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("%v is no number in JSON", f)
	}
	if stringify, _ := json.GetOption(e.Options(), json.StringifyNumbers); stringify {
		return errors.ErrUnsupported // as the field's tag wants it
	}
	return e.WriteValue(appendFloat(nil, f))
}

func writeList(e *jsontext.Encoder, l value.List) error {
	data, err := appendList(nil, l)
	if err != nil {
		return err
	}
	return e.WriteValue(data)
}

func readListInto(d *jsontext.Decoder, l *value.List) (err error) {
	*l, err = readList(d)
	return err
}

func writeValue(e *jsontext.Encoder, v value.Value) error {
	data, err := appendValue(nil, v)
	if err != nil {
		return err
	}
	return e.WriteValue(data)
}

func readValueInto(d *jsontext.Decoder, v *value.Value) error {
	var b value.Builder
	if err := readValue(d, &b); err != nil {
		return err
	}
	if *v = b.List().At(0); v.IsNil() {
		*v = value.Value{}
	}
	return nil
}

// writeError writes what can be told of any error.
func writeError(e *jsontext.Encoder, err error) error {
	p := actor.Portable(err)
	return json.MarshalEncode(e, portable{p.Code.String(), p.Actor, p.Text, p.Stack})
}

// portable is an actor.Error for people: its code is a word.
type portable struct {
	Code  string `json:"code"`
	Actor string `json:"actor,omitzero"`
	Text  string `json:"text,omitzero"`
	Stack string `json:"stack,omitzero"`
}

func readError(d *jsontext.Decoder, v *error) error { //nolint:gocritic // as package json has it
	if d.PeekKind() == 'n' {
		*v = nil
		_, err := d.ReadToken()
		return err
	}
	var e actor.Error
	if err := readActorError(d, &e); err != nil {
		return err
	}
	*v = &e
	return nil
}

func readActorError(d *jsontext.Decoder, v *actor.Error) error {
	var p portable
	if err := json.UnmarshalDecode(d, &p); err != nil {
		return err
	}
	code, err := codeOf(p.Code)
	*v = actor.Error{Code: code, Actor: p.Actor, Text: p.Text, Stack: p.Stack}
	return err
}

func codeOf(name string) (actor.Code, error) {
	for c := actor.NoActor; c <= actor.Refused; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%q is no code of an error", name)
}

// readAny reads what checkPlain lets through.
func readAny(d *jsontext.Decoder, v *any) (err error) {
	switch d.PeekKind() {
	case '0':
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		*v, err = number(tok.String())
		return err
	case '[':
		list := []any{}
		err = json.UnmarshalDecode(d, &list)
		*v = list
	case '{':
		object := map[string]any{}
		err = json.UnmarshalDecode(d, &object)
		*v = object
	default:
		return errors.ErrUnsupported // as JSON has it
	}
	return err
}

func number(s string) (any, error) {
	var b value.Builder
	if err := readNumber(s, &b); err != nil {
		return nil, err
	}
	v := b.List().At(0)
	if strings.ContainsAny(s, ".eE") {
		f, _ := v.Float()
		return f, nil
	}
	n, _ := v.Int()
	return n, nil
}
