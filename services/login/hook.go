package login

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// hook asks a script of the project. It is the unique service of that script, which the launcher starts with the first login, and again should it end.
type hook struct {
	script  string
	timeout time.Duration
	limit   int
	asking  int
}

var errHook = &Error{Unavailable, "nobody can check this login now"}

func (h *hook) login(c *actor.Context, m Request, done func(Account, error)) {
	launcher, ok := c.System().Lookup(lua.LauncherName)
	if h.script == "" || !ok {
		done(Account{}, errHook)
		return
	}
	if h.asking >= h.limit {
		done(Account{}, errBusy)
		return
	}
	h.asking++
	over := func(acc Account, err error) {
		h.asking--
		done(acc, err)
	}
	// Launch of a unique service that runs is a look into the launcher's table.
	c.AskFor(launcher, lua.Launch{Script: h.script, Unique: true}, h.timeout, func(v any, err error) {
		ref, ok := v.(actor.Ref)
		if err != nil || !ok {
			over(Account{}, h.failed(c, err))
			return
		}
		c.AskFor(ref, lua.Command("login", m.Body, m.Addr.String()), h.timeout, func(v any, err error) {
			if err != nil {
				over(Account{}, h.failed(c, err))
				return
			}
			list, _ := v.(value.List)
			acc, err := h.answer(list)
			var refused *Error
			if err != nil && !errors.As(err, &refused) {
				err = h.failed(c, err)
			}
			over(acc, err)
		})
	})
}

// failed tells the operator what is wrong, and the client that something is.
func (h *hook) failed(c *actor.Context, err error) error {
	c.Log().Error("the hook did not decide a login", "script", h.script, "error", err)
	return errHook
}

// answer reads what the script says: a uid, or a table with uid, name and new; or nil and why not, as a text, or as a table with code and msg.
func (h *hook) answer(l value.List) (Account, error) {
	first, second := l.At(0), l.At(1)
	if first.IsNil() || first.Kind() == value.Bool && !first.Bool() {
		return Account{}, hookRefusal(second)
	}
	acc := Account{}
	id := first
	if first.Kind() == value.Table {
		id = first.Get("uid")
		acc.Name, _ = first.Get("name").Str()
		acc.New = first.Get("new").Bool()
	}
	uid, err := uidOf(id)
	if err != nil {
		return Account{}, err
	}
	if len(acc.Name) > maxName || !utf8.ValidString(acc.Name) {
		return Account{}, fmt.Errorf("login: the name of %q is not up to %d bytes of text", uid, maxName)
	}
	acc.UID = uid
	return acc, nil
}

// maxCode bounds the code of a refusal.
const maxCode = 64

func hookRefusal(v value.Value) *Error {
	e := &Error{Denied, "refused"}
	if text, ok := v.Str(); ok {
		e.Msg = text
	}
	if code, ok := v.Get("code").Str(); ok && code != "" {
		e.Code = Code(code[:min(len(code), maxCode)])
	}
	if msg, ok := v.Get("msg").Str(); ok {
		e.Msg = msg
	}
	e.Msg = e.Msg[:min(len(e.Msg), maxReason)]
	return e
}
