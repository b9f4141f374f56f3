package lua

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// codeNames are the `code` of errors that scripts get.
var codeNames = map[actor.Code]string{ //nolint:gochecknoglobals // a constant
	actor.NoActor: "no_actor", actor.Stopped: "stopped", actor.Unreachable: "unreachable",
	actor.Failed: "failed", actor.Deadline: "deadline", actor.Overloaded: "overloaded",
	actor.Cycle: "cycle", actor.Canceled: "canceled", actor.Refused: "refused",
}

// errorSource makes the metatable of errors: they are tables with code, message and traceback, and text to whoever takes them for that, as scripts for
// Skynet do.
//
//nolint:dupword // it is Lua
const errorSource = `
local string, tostring, type, rawget = string, tostring, type, rawget
local meta = { __name = "error" }

local function text(e)
  local message, traceback = tostring(rawget(e, "message")), rawget(e, "traceback")
  if traceback == nil or traceback == "" then return message end
  return message .. "\n" .. tostring(traceback)
end

local function operand(v)
  if type(v) == "table" then return tostring(v) end
  return v
end

meta.__tostring = text

function meta.__concat(a, b) return operand(a) .. operand(b) end

function meta.__len(e) return #text(e) end

function meta.__index(e, name)
  local f = string[name]
  if type(f) ~= "function" then return nil end
  return function(self, ...)
    if self == e then self = text(e) end
    return f(self, ...)
  end
end

return meta`

// pushErrorMeta pushes the metatable of errors, which a service gets with its first one.
func (h *Host) pushErrorMeta(s vm.State) {
	if h.errorMeta == 0 {
		if err := s.Load("="+hostChunk, errorSource); err != nil {
			s.Errorf("%s", err.Error()) // the source is a constant of ours
		}
		s.Call(0, 1)
		h.errorMeta = s.Ref()
	}
	s.Push(h.errorMeta)
}

const (
	// maxTraceback bounds what the stacks of a chain of calls can grow to.
	maxTraceback = 16 << 10
	// maxMessage bounds the text of an error: it goes to the log, to whoever has called, and to those who called that one.
	maxMessage = 64 << 10
)

// clipped is the beginning of a text that a script can make as long as it likes.
func clipped(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// pushError pushes why a call of the thread s, which waits in it, or one that nobody waits in, has failed: the table that the other side raised, or one of ours.
func (h *Host) pushError(s vm.State, err error) {
	code, text, stack := "error", err.Error(), ""
	var script *Error
	var failed *actor.Error
	switch {
	case errors.As(err, &script):
		if script.Value.Len() > 0 && script.Code == "" {
			PushValue(s, script.Value.At(0))
			return
		}
		code, stack = "failed", script.Traceback
		if script.Code != "" {
			code = script.Code
		}
	case errors.As(err, &failed):
		code, stack = codeNames[failed.Code], failed.Stack
	}
	main := h.vm.Main()
	if s != main {
		stack = calledBy(stack, "called by "+h.script+", "+stackOf(s))
	}
	main.NewTable(0, 3)
	main.PushString(code)
	main.SetField(-2, "code")
	main.PushString(text)
	main.SetField(-2, "message")
	main.PushString(stack)
	main.SetField(-2, "traceback")
	h.pushErrorMeta(main)
	main.SetMetatable(-2)
	if s != main {
		main.Move(s, 1)
	}
}

// againLine is what stands for links of a chain of calls that it has already: services that call each other round and round have all the same ones.
var againLine = regexp.MustCompile(`\n\(and (\d+) more calls from there\)$`)

// calledBy adds who has called to the stacks of a chain of calls.
func calledBy(stack, caller string) string {
	switch {
	case stack == "":
		return caller
	case strings.Contains(stack, caller):
		n := 1
		if again := againLine.FindStringSubmatch(stack); again != nil {
			before, _ := strconv.Atoi(again[1]) // digits
			n, stack = n+before, strings.TrimSuffix(stack, again[0])
		}
		return fmt.Sprintf("%s\n(and %d more calls from there)", stack, n)
	case len(stack) >= maxTraceback:
		return stack
	}
	return stack + "\n" + caller
}

// errorOf makes an Error of the value on top of a thread that failed.
func (h *Host) errorOf(s vm.State) *Error {
	e := &Error{Script: h.script}
	if s.Type(-1) == vm.Table {
		top := s.Top()
		if l, err := takeList(h.vm.Main(), s, top); err == nil {
			e.Value = l
		}
		s.SetTop(top)
		if h.ours(s, e) {
			return e
		}
	}
	e.Message = clipped(h.text(s), maxMessage)
	e.Traceback = stackOf(s)
	if of := &h.requireFailed; of.message == e.Message && of.th == s {
		e.Traceback = of.stack
	}
	e.Message = placed(e.Message, e.Traceback)
	h.hint(e)
	return e
}

var (
	// hostFirst is the place of an error whose level leads to the host's own code: it was raised in a call that is the last thing that a function does.
	hostFirst = regexp.MustCompile(`^` + hostChunk + `:\d+: `)
	// unplaced is how errors begin that an engine raises in its own functions, as for ipairs(nil), without a place.
	unplaced = regexp.MustCompile(`^(?:attempt to |bad argument #|stack overflow|message of type )`)
	// placeIn is the first place of a script in a stack.
	placeIn = regexp.MustCompile(`(?m)^\t([^\[\]\s:]+:\d+): in `)
)

// placed puts the place of the script's innermost function in front of an error of the engine that has none.
func placed(message, stack string) string {
	message = hostFirst.ReplaceAllString(message, "")
	if at := placeIn.FindStringSubmatch(stack); at != nil && unplaced.MatchString(message) {
		return at[1] + ": " + message
	}
	return message
}

// requireFailure is the stack of an error in the top-level code of a module, which require hands on when that stack is gone.
type requireFailure struct {
	th             vm.State // of the handler
	message, stack string
}

// requireFails is called where such an error is raised, and again by each require around that one.
func (h *Host) requireFails(s vm.State) int {
	if s.Type(1) != vm.String {
		return 1
	}
	message, _ := s.String(1)
	if of := &h.requireFailed; h.cur != nil && (of.th != h.cur.th || of.message != message) {
		stack := stackOf(s)
		if title, rest, ok := strings.Cut(stack, "\n"); ok { // without this function
			_, rest, _ = strings.Cut(rest, "\n")
			stack = title + "\n" + rest
		}
		h.requireFailed = requireFailure{h.cur.th, message, stack}
	}
	return 1
}

// ours fills e with the error on top of a thread if that is the one of a call that failed: whoever called the thread's handler gets to know of the whole chain.
func (h *Host) ours(s vm.State, e *Error) bool {
	if h.errorMeta == 0 || !s.Metatable(-1) {
		return false
	}
	s.Push(h.errorMeta)
	same := s.Equal(-1, -2)
	s.Pop(2)
	if !same {
		return false
	}
	table := s.Top()
	field := func(name string) string {
		s.PushString(name)
		s.RawGet(table)
		defer s.Pop(1)
		if text, ok := s.String(-1); ok {
			return text
		}
		return ""
	}
	e.Code, e.Message = clipped(field("code"), maxTraceback), clipped(field("message"), maxMessage)
	e.Traceback = clipped(field("traceback"), maxMessage)
	return true
}

// text is tostring of the value on top of a thread that may have failed; its __tostring may fail too.
func (h *Host) text(s vm.State) string {
	if s.Type(-1) != vm.Table && s.Type(-1) != vm.Userdata {
		return s.Text(-1)
	}
	h.began = time.Time{}
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	main.PushFunc("tostring", func(s vm.State) int {
		s.PushString(s.Text(1))
		return 1
	})
	s.Copy(-1)
	s.Move(main, 1)
	if err := main.PCall(1, 1); err != nil {
		return "an error value whose __tostring fails: " + err.Error()
	}
	text, _ := main.String(-1)
	return text
}

// stackOf is the traceback of a thread without the host's own functions.
func stackOf(s vm.State) string {
	lines := strings.Split(strings.TrimPrefix(s.Traceback(""), "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "\t"+hostChunk+":") })
	return strings.Join(lines, "\n")
}

// hostChunk is what tracebacks call the host's own code.
const hostChunk = "skua"

// raised is the error value that a call on the main thread has left there, which it pops.
func (h *Host) raised() *Error {
	main := h.vm.Main()
	e := h.errorOf(main)
	main.Pop(1)
	return e
}
