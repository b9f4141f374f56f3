package gopher

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// raised is how the library raises an error. What the instructions themselves complain of is put into the words of Lua.
func raised(l *lua.LState) {
	v := l.Get(-1)
	if s, ok := v.(lua.LString); ok {
		t := stateOf(l)
		if f := t.frame(); f != nil && !f.Fn.IsG {
			v = lua.LString(t.inLuasWords(f, string(s)))
		}
	}
	panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: v})
}

func (t *thread) inLuasWords(f *frame, text string) string {
	if s := t.m.engine.shimOf(f.Fn.Proto); s != nil { // pcall or xpcall of what can't be called
		if strings.HasSuffix(text, ": attempt to call a non-function object") {
			return t.badCall(f)
		}
		return text
	}
	at := t.where(f)
	msg, ok := strings.CutPrefix(text, at)
	if !ok {
		return text
	}
	switch {
	case msg == "attempt to call a non-function object":
		return at + t.badCall(f)
	case strings.HasPrefix(msg, "attempt to index a non-table object("):
		kind, key, _ := strings.Cut(strings.TrimPrefix(msg, "attempt to index a non-table object("), ") with key ")
		return fmt.Sprintf("%sattempt to index a %s value (to get or set %s)", at, kind, key)
	case strings.HasPrefix(msg, "cannot perform "):
		what, kinds, _ := strings.Cut(strings.TrimPrefix(msg, "cannot perform "), " operation between ")
		left, right, _ := strings.Cut(kinds, " and ")
		fine := left == "number" || left == "string"
		if what == "concat" {
			if fine {
				left = right
			}
			return fmt.Sprintf("%sattempt to concatenate a %s value", at, left)
		}
		if left == "number" || left == "string" && right != "number" && right != "string" {
			left = right
		}
		return fmt.Sprintf("%sattempt to perform arithmetic on a %s value", at, left)
	case msg == "__unm undefined":
		return at + "attempt to perform arithmetic on a value that is no number"
	case msg == "__len undefined":
		return at + "attempt to get length of a value that has none"
	case msg == "for statement init must be a number":
		return at + "'for' initial value must be a number"
	case msg == "for statement limit must be a number":
		return at + "'for' limit must be a number"
	case msg == "for statement step must be a number":
		return at + "'for' step must be a number"
	}
	return text
}

// badCall tells what the current instruction of a frame has tried to call.
func (t *thread) badCall(f *frame) string {
	inst := f.Fn.Proto.Code[f.Pc-1]
	kind := "nil"
	if op := int(inst >> 26); op == lua.OP_CALL || op == lua.OP_TAILCALL {
		if v := t.m.o.registers(t.l).array[f.LocalBase+int(inst>>18)&0xff]; v != nil {
			kind = v.Type().String()
		}
	}
	for _, call := range f.Fn.Proto.DbgCalls {
		if t.m.engine.shimOf(f.Fn.Proto) != nil {
			break // the names in there are ours
		}
		if call.Pc == f.Pc-1 && call.Name != "?" && call.Name != "" {
			return fmt.Sprintf("attempt to call a %s value ('%s')", kind, call.Name)
		}
	}
	return fmt.Sprintf("attempt to call a %s value", kind)
}
