package lua

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"

	"github.com/skua-go/skua/lua/vm"
)

// logModules are require "log", and the same as skynet.log for projects that have a log.lua of their own: lines of the node's log with a level and fields.
func logModules() []Module {
	return []Module{{Name: "log", Open: openLog}, {Name: "skynet.log", Open: openLog}}
}

// logLevels are the functions of the module.
var logLevels = map[string]slog.Level{ //nolint:gochecknoglobals // a constant
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

const (
	// maxLogFields bounds the fields of a line.
	maxLogFields = 64
	// maxLogKey bounds a field's name.
	maxLogKey = 64
	// lineCost is how many steps a line of the log is worth.
	lineCost = 500
)

func openLog(h *Host, s vm.State) {
	s.NewTable(0, len(logLevels)+1)
	for name, level := range logLevels {
		s.PushFunc(name, func(s vm.State) int {
			// Lines that nobody reads cost this look and no more.
			if h.log.Enabled(context.Background(), level) {
				h.write(s, level, "log."+name)
			}
			return 0
		})
		s.SetField(-2, name)
	}
	s.PushFunc("enabled", func(s vm.State) int {
		name, _ := s.String(1)
		level, ok := logLevels[name]
		if !ok {
			s.Errorf("log.enabled: debug, info, warn or error is expected, got %q", s.Text(1))
		}
		s.PushBool(h.log.Enabled(context.Background(), level))
		return 1
	})
	s.SetField(-2, "enabled")
}

// write writes a line: write(message), write(message, fields), or write(format, ...).
func (h *Host) write(s vm.State, level slog.Level, what string) {
	s.Spend(lineCost)
	switch top := s.Top(); {
	case top == 0:
		s.Errorf("%s: a message is expected as argument 1", what)
	case top == 1 || top == 2 && s.Type(2) == vm.Nil: // a message without fields
		h.log.LogAttrs(context.Background(), level, s.Text(1))
	case top == 2 && s.Type(2) == vm.Table && !hasText(s, 2):
		h.log.LogAttrs(context.Background(), level, s.Text(1), logFields(s, 2, what)...)
	default:
		s.Global("string")
		s.Field(-1, "format")
		s.Remove(-2)
		s.Insert(1)
		s.Call(top, 1)
		h.log.LogAttrs(context.Background(), level, s.Text(-1))
	}
}

// hasText tells whether a table is one that prints as text, as the errors of calls do.
func hasText(s vm.State, i int) bool {
	if !s.Metatable(i) {
		return false
	}
	s.PushString("__tostring")
	s.RawGet(s.Top() - 1)
	found := s.Type(-1) != vm.Nil
	s.Pop(2)
	return found
}

// logFields reads the table at index i, in the order of the names.
func logFields(s vm.State, i int, what string) []slog.Attr {
	var fields []slog.Attr
	s.PushNil()
	for s.Next(i) {
		if len(fields) == maxLogFields {
			s.Errorf("%s: a line has at most %d fields", what, maxLogFields)
		}
		key, ok := s.String(-2)
		if n, isInt := s.Int(-2); !ok && isInt {
			key, ok = strconv.FormatInt(n, 10), true
		}
		if !ok || key == "" || len(key) > maxLogKey {
			s.Errorf("%s: the name of a field is a string of 1 to %d bytes, got %s", what, maxLogKey, s.Type(-2))
		}
		fields = append(fields, slog.Attr{Key: key, Value: logValue(s)})
		s.Pop(1)
	}
	slices.SortFunc(fields, func(a, b slog.Attr) int { return cmp.Compare(a.Key, b.Key) })
	return fields
}

// logValue is the value on top.
func logValue(s vm.State) slog.Value {
	top := s.Top()
	if s.Type(top) == vm.Table && !hasText(s, top) {
		s.Copy(top)
		l, err := TakeList(s, top+1)
		s.SetTop(top)
		if err == nil {
			return slog.AnyValue(l.At(0).Any())
		}
		return slog.StringValue(s.Text(top) + " (" + err.Error() + ")")
	}
	switch n, isInt := s.Int(top); {
	case s.Type(top) == vm.Number && isInt && s.IsInt(top):
		return slog.Int64Value(n)
	case s.Type(top) == vm.Number && isInt && !s.Exact():
		return slog.Int64Value(n)
	case s.Type(top) == vm.Number:
		f, _ := s.Float(top)
		return slog.Float64Value(f)
	case s.Type(top) == vm.Boolean:
		return slog.BoolValue(s.Bool(top))
	}
	return slog.StringValue(s.Text(top))
}
