package json

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/lua/vm"
)

// decoder is one call of decode.
type decoder struct {
	*options
	s     vm.State
	d     *jsontext.Decoder
	depth int
	back  int // how far before the reader's position the number that is wrong begins
}

// Push pushes the value of a JSON text. Its errors tell the character, counted from 1, and the way there as a JSON pointer (RFC 6901).
// data is borrowed until Push returns.
func (o *options) Push(s vm.State, data []byte) error {
	d := decoder{options: o, s: s, d: jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true))}
	err := d.value()
	if err == nil {
		if _, after := d.d.ReadToken(); !errors.Is(after, io.EOF) {
			err = errors.New("there is more behind the value")
		}
	}
	if err == nil {
		return nil
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("character %d%s: %s", syntax.ByteOffset+1, pointer(syntax.JSONPointer), reason(syntax.Err))
	}
	if errors.Is(err, io.EOF) {
		return errors.New("character 1: the text is empty")
	}
	return fmt.Errorf("character %d%s: %w", d.d.InputOffset()+1-int64(d.back), pointer(d.d.StackPointer()), err)
}

func pointer(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	const most = 200
	if len(p) > most {
		p = p[:most] + "..."
	}
	return " at " + string(p)
}

func reason(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "the text ends here"
	}
	return strings.TrimPrefix(err.Error(), "jsontext: ")
}

func (d *decoder) value() error {
	tok, err := d.d.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case 'n':
		d.s.Push(d.null)
	case 't', 'f':
		d.s.PushBool(tok.Bool())
	case '"':
		d.s.PushString(tok.String())
	case '0':
		text := tok.String()
		if err := d.number(text); err != nil {
			d.back = len(text)
			return err
		}
	case '[':
		return d.array()
	case '{':
		return d.object()
	default:
		return fmt.Errorf("%v is no value", tok.Kind())
	}
	return nil
}

func (d *decoder) number(text string) error {
	if !strings.ContainsAny(text, ".eE") {
		return d.numbers.PushDigits(d.s, text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("the number %.40s is out of range", text)
	}
	d.s.PushFloat(f)
	return nil
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > d.decodeDepth {
		return fmt.Errorf("arrays and objects nest deeper than %d levels", d.decodeDepth)
	}
	return nil
}

func (d *decoder) array() error {
	if err := d.enter(); err != nil {
		return err
	}
	d.s.NewTable(0, 0)
	t := d.s.Top()
	for i := int64(1); d.d.PeekKind() != ']'; i++ {
		if err := d.value(); err != nil {
			return err
		}
		d.s.RawSetInt(t, i)
	}
	if d.markArrays {
		d.s.Push(d.arrayMT)
		d.s.SetMetatable(t)
	}
	return d.leave()
}

func (d *decoder) object() error {
	if err := d.enter(); err != nil {
		return err
	}
	d.s.NewTable(0, 0)
	t := d.s.Top()
	for d.d.PeekKind() != '}' {
		name, err := d.d.ReadToken()
		if err != nil {
			return err
		}
		d.s.PushString(name.String())
		if err := d.value(); err != nil {
			return err
		}
		d.s.RawSet(t)
	}
	return d.leave()
}

// leave reads the bracket that closes.
func (d *decoder) leave() error {
	d.depth--
	_, err := d.d.ReadToken()
	return err
}
