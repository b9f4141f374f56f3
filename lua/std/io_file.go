package std

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/skua-go/skua/lua/vm"
)

// method wraps a method of files. Behind pcall it has no name, as in PUC Lua.
func method(f func(call) int) vm.Func {
	return func(s vm.State) int { return f(call{s, "?"}) }
}

// file is an argument that is a file, open or closed.
func (c call) file(i int) *handle {
	h, ok := c.Userdata(i).(*handle)
	if !ok {
		c.wrongType(i, "FILE*")
	}
	return h
}

// handle is an argument that is an open file.
func (c call) handle(i int) *handle {
	h := c.file(i)
	if h.s.isClosed() {
		c.Errorf("attempt to use a closed file")
	}
	return h
}

func fileText(c call) int {
	if h := c.file(1); h.s.isClosed() {
		c.PushString("file (closed)")
	} else {
		c.PushString(fmt.Sprintf("file (%p)", h))
	}
	return 1
}

func fileClose(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	return c.close(h.s)
}

func (c call) close(s *stream) int {
	if s.files == nil {
		c.PushNil()
		c.PushString("cannot close standard file")
		return 2
	}
	return c.fileResult(s.files.close(s), "")
}

// fileDrop is what the end of a block does to a variable that is to be closed.
func fileDrop(c call) int {
	h := c.file(1)
	defer runtime.KeepAlive(h)
	if h.s.files != nil { // standard files stay open
		_ = h.s.files.close(h.s) // nobody is told of others' errors, as in PUC Lua
	}
	return 0
}

func fileFlush(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	return c.fileResult(h.s.flushed(), "")
}

func fileRead(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	return c.readFrom(h.s, 2)
}

func fileWrite(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	return c.writeTo(h.s, 2, func() { c.Copy(1) })
}

func fileLines(c call) int {
	c.pushLines(c.handle(1), false)
	return 1
}

func fileSeek(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	whence := c.option(2, "cur", "set", "cur", "end")
	at, err := h.s.seek(c.optInt(3, 0), whence)
	if err != nil {
		return c.fileResult(err, "")
	}
	c.PushInt(at)
	return 1
}

// fileSetvbuf chooses when what is written gets to the file: at once, or when the buffer is full. Lines are written at once, too.
func fileSetvbuf(c call) int {
	h := c.handle(1)
	defer runtime.KeepAlive(h)
	if c.isNone(2) {
		c.str(2)
	}
	how := c.option(2, "", "no", "full", "line")
	c.optInt(3, 0)
	return c.fileResult(h.s.setDirect(how != 1), "")
}

// option is the index of an argument in a list.
func (c call) option(i int, otherwise string, choices ...string) int {
	name := c.optStr(i, otherwise)
	for n, choice := range choices {
		if name == choice {
			return n
		}
	}
	c.bad(i, "invalid option '%s'", name)
	return 0
}

// readFrom reads what the arguments from first on ask for.
func (c call) readFrom(s *stream, first int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := c.Top()
	if last < first {
		text, ok, err := s.line(c, false)
		return c.readResult(last, text, ok, err)
	}
	if last-first > maxLineFormats {
		c.Errorf("stack overflow (too many arguments)")
	}
	for i := first; i <= last; i++ {
		if c.Type(i) != vm.Number && readFormat(c.str(i)) == 'n' {
			n, ok, err := s.number(c)
			switch {
			case err != nil || !ok:
				return c.readResult(last, nil, false, err)
			case n.IsInt:
				c.PushInt(n.I)
			default:
				c.PushFloat(n.F)
			}
			continue
		}
		text, ok, err := s.readAs(c, i)
		if err != nil || !ok {
			return c.readResult(last, nil, false, err)
		}
		c.PushString(string(text))
	}
	return c.Top() - last
}

// readResult pushes the last of the results, which begin above top.
func (c call) readResult(top int, text []byte, ok bool, err error) int {
	switch {
	case err != nil:
		return c.fileResult(err, "")
	case ok:
		c.PushString(string(text))
	default:
		c.PushNil()
	}
	return c.Top() - top
}

// readFormat is the letter of a format, 0 if it has none.
func readFormat(format string) byte {
	if format = strings.TrimPrefix(format, "*"); format == "" {
		return 0
	}
	return format[0]
}

// readAs reads a string as the argument says.
func (s *stream) readAs(c call, i int) (text []byte, ok bool, err error) {
	if c.Type(i) == vm.Number {
		n := c.integer(i)
		if n == 0 {
			ok, err = s.more()
			return nil, ok, err
		}
		if n < 0 {
			n = maxString + 1 // C takes it for a very large size
		}
		return s.chars(c, n)
	}
	switch readFormat(c.str(i)) {
	case 'l':
		return s.line(c, false)
	case 'L':
		return s.line(c, true)
	case 'a':
		text, _, err = s.chars(c, maxString+1)
		return text, true, err
	}
	c.bad(i, "invalid format")
	return nil, false, nil
}

// writeTo writes the arguments from first on; push pushes the file, which is the result.
func (c call) writeTo(s *stream, first int, push func()) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := first; i <= c.Top(); i++ {
		text, isText := c.String(i)
		switch {
		case isText:
		case c.Type(i) != vm.Number:
			c.wrongType(i, "string")
		default:
			text = strings.TrimSuffix(c.numberText(i), ".0") // as C's %.14g
		}
		c.spendBytes(len(text))
		if err := s.write(text); err != nil {
			return c.fileResult(err, "")
		}
	}
	if s.direct {
		if err := s.flush(); err != nil {
			return c.fileResult(err, "")
		}
	}
	push()
	return 1
}

// pushLines pushes the iterator of a file that reads as the arguments from 2 on say, and closes the file behind its end if it is the loop's own.
func (c call) pushLines(h *handle, own bool) {
	if c.Top()-1 > maxLineFormats {
		c.bad(maxLineFormats+2, "too many arguments")
	}
	formats := make([]any, 0, max(0, c.Top()-1))
	for i := 2; i <= c.Top(); i++ {
		var format any // what is no format is refused when it is used
		if n, ok := c.Int(i); ok {
			format = n
		} else if text, ok := c.String(i); ok {
			format = text
		}
		formats = append(formats, format)
	}
	c.PushFunc("lines", func(state vm.State) int {
		defer runtime.KeepAlive(h)
		c := call{state, "?"}
		if h.s.isClosed() {
			c.Errorf("file is already closed")
		}
		c.SetTop(1)
		for _, f := range formats {
			switch f := f.(type) {
			case int64:
				c.PushInt(f)
			case string:
				c.PushString(f)
			default:
				c.PushNil()
			}
		}
		n := c.readFrom(h.s, 2)
		if c.Bool(-n) {
			return n
		}
		if problem, failed := c.String(1 - n); n > 1 && failed {
			c.Errorf("%s", problem)
		}
		if own {
			_ = h.s.files.close(h.s) // it has only been read
		}
		return 0
	})
}
