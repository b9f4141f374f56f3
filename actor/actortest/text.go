package actortest

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/skua-go/skua/actor"
)

// pointer is an address, which is another one in each run.
var pointer = regexp.MustCompile(`0x[0-9a-f]{6,}`)

// describe is a message as failures and traces show it: its type and, if that is short enough, its content.
func describe(msg any) string {
	const most = 200
	if msg == nil {
		return "nil"
	}
	name := fmt.Sprintf("%T", msg)
	if t, ok := msg.(actor.Typed); ok {
		name = t.MessageType()
	}
	content := fmt.Sprintf("%+v", msg)
	if s, ok := msg.(string); ok {
		content = fmt.Sprintf("%q", s)
	}
	if len(content) > most {
		cut := most
		for !utf8.RuneStart(content[cut]) {
			cut--
		}
		content = content[:cut] + "..."
	}
	return strings.TrimSuffix(name+" "+pointer.ReplaceAllString(content, "0x..."), " ")
}

// as is v as a T. A nil is one if T is an interface.
func as[T any](v any) (T, bool) {
	t, ok := v.(T)
	return t, ok || v == nil && reflect.TypeFor[T]().Kind() == reflect.Interface
}

func typeText[T any]() string { return reflect.TypeFor[T]().String() }
