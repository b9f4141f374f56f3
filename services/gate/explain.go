package gate

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// resultOf is what a handler has answered: its first result, or, as Lua does it, nil and what is wrong.
func resultOf(l value.List) (value.Value, error) {
	first, second := l.At(0), l.At(1)
	if !first.IsNil() || second.IsNil() {
		return first, nil
	}
	return value.Value{}, &refusal{meant(second)}
}

// meant reads an error that a script means its client to see: a text, or a table with code and msg.
func meant(v value.Value) packet.Reason {
	if s, ok := v.Str(); ok {
		return packet.Reason{Code: answerRefused, Msg: s}
	}
	r := packet.Reason{Code: answerRefused}
	if code, ok := v.Get("code").Str(); ok {
		r.Code = code
	}
	for _, key := range []string{"msg", "message"} {
		if msg, ok := v.Get(key).Str(); ok {
			r.Msg = msg
			break
		}
	}
	return r
}

// explain tells a client what it may know of an error; the rest is for the log.
func (s *session) explain(route string, err error) packet.Reason {
	var own *refusal
	var denied *login.Error
	var none *lua.NoHandlerError
	var script *lua.Error
	switch {
	case errors.As(err, &own):
		return own.Reason
	case errors.As(err, &denied):
		return packet.Reason{Code: string(denied.Code), Msg: denied.Msg}
	case errors.As(err, &none) && none.Kind == "route":
		return packet.Reason{Code: answerNotFound, Msg: fmt.Sprintf("no route %q", none.Name)}
	case errors.As(err, &script):
		return s.explainScript(route, script)
	}
	r := packet.Reason{Code: answerInternal, Msg: "internal error"}
	switch {
	case errors.Is(err, actor.ErrDeadline):
		r = noAnswer()
	case errors.Is(err, actor.ErrStopped), errors.Is(err, actor.ErrNoActor), errors.Is(err, actor.ErrUnreachable), errors.Is(err, actor.ErrOverloaded):
		r = notThere()
	}
	s.c.Log().Error("request failed", "route", route, "player", s.UID(), "answered", r.Code, "error", err)
	return r
}

func noAnswer() packet.Reason {
	return packet.Reason{Code: answerTimeout, Msg: "no answer in time"}
}

func notThere() packet.Reason {
	return packet.Reason{Code: answerUnavailable, Msg: "who should answer is not there"}
}

// explainScript tells a raised table that is meant for the client from an error. One with a traceback is what skynet.call raises: its message is about
// the server's inside, but why it failed can be told. Errors that are no tables are logged by the script's host.
func (s *session) explainScript(route string, err *lua.Error) packet.Reason {
	raised := err.Value.At(0)
	if raised.Kind() == value.Table && raised.Get("traceback").IsNil() {
		return meant(raised)
	}
	r := packet.Reason{Code: answerInternal, Msg: "internal error"}
	code := err.Code
	if raised.Kind() == value.Table {
		code, _ = raised.Get("code").Str()
	}
	switch code {
	case "deadline":
		r = noAnswer()
	case "no_actor", "stopped", "unreachable", "overloaded":
		r = notThere()
	}
	if raised.Kind() == value.Table {
		s.c.Log().Error("request failed", "route", route, "player", s.UID(), "answered", r.Code, "error", err.Message, "traceback", err.Traceback)
	}
	return r
}
