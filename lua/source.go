package lua

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/skua-go/skua/lua/token"
	"github.com/skua-go/skua/lua/vm"
)

// file reads a file of the project or the library.
func (rt *Runtime) file(name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", fmt.Errorf("lua: %q is not the name of a file of the project", name)
	}
	for _, tree := range []fs.FS{rt.cfg.Scripts, rt.cfg.Library} {
		if tree == nil {
			continue
		}
		data, err := fs.ReadFile(tree, name)
		if err == nil {
			return string(data), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("lua: read %s: %w", name, err)
		}
	}
	return "", fmt.Errorf("lua: there is no file %s in the project", name)
}

// innerLoadFile compiles a file of the project: load_file(name). It returns the function, or nil and what is wrong.
func (h *Host) innerLoadFile(s vm.State) int {
	name, ok := s.String(1)
	if !ok {
		s.Errorf("loadfile: the name of a file is expected, got %s", s.Type(1))
	}
	text, err := h.file(strings.TrimPrefix(name, "./"))
	if err == nil {
		err = s.Load(name, text)
	}
	if err != nil {
		s.PushNil()
		s.PushString(strings.TrimPrefix(err.Error(), "lua: "))
		return 2
	}
	return 1
}

// innerFunctionText gives the source of a function by where it is: function_text(file, line of its first word, line of its end). The text keeps its line
// numbers. It is a chunk that returns the function.
func (h *Host) innerFunctionText(s vm.State) int {
	name, _ := s.String(1)
	first, _ := s.Int(2)
	last, _ := s.Int(3)
	source, err := h.file(strings.TrimPrefix(name, "@"))
	if err == nil {
		source, err = functionText(source, int(first), int(last))
	}
	if err != nil {
		s.Errorf("%s", strings.TrimPrefix(err.Error(), "lua: "))
	}
	s.PushString(source)
	return 1
}

// functionText is the only function of a source that begins and ends on these lines.
func functionText(source string, first, last int) (string, error) {
	tokens := token.Scan(source)
	found := ""
	for i, t := range tokens {
		if t.Line != first || !t.Is("function") {
			continue
		}
		end := endOf(tokens, i)
		if end < 0 || tokens[end].Line != last {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("lua: two functions begin on line %d and end on line %d: put them on lines of their own", first, last)
		}
		for !tokens[i].Is("(") {
			if tokens[i].Is(":") {
				return "", fmt.Errorf("lua: the function of line %d is a method", first)
			}
			i++
		}
		found = strings.Repeat("\n", first-1) + "return function" + source[tokens[i].Offset:tokens[end].Offset] + "end"
	}
	if found == "" {
		return "", fmt.Errorf("lua: no function begins on line %d and ends on line %d", first, last)
	}
	return found, nil
}

// endOf is the index of the end that belongs to the function at i, -1 if there is none.
func endOf(tokens []token.Token, i int) int {
	depth := 0
	for ; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case t.Is("function"), t.Is("do"), t.Is("if"), t.Is("repeat"):
			depth++
		case t.Is("end"), t.Is("until"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
