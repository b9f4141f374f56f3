package lua_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

func TestAMessageIsCalledByItsCommandOrRoute(t *testing.T) {
	for _, c := range []struct {
		msg  lua.Message
		want string
	}{
		{lua.Command("buy", 7), "lua buy"},
		{lua.Message{Type: lua.TypeClient, Args: value.Of("shop.buy", nil)}, "client shop.buy"},
		{lua.Message{Type: lua.TypeText, Args: value.Of("what it says is nobody's business")}, "text"},
		{lua.Message{Type: lua.TypeLua, Args: value.Of(7)}, "lua"},
		{lua.Message{Type: lua.TypeLua}, "lua"},
		{lua.Command(strings.Repeat("x", 1<<20)), "lua " + strings.Repeat("x", 64)},
	} {
		if got := c.msg.MessageType(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
