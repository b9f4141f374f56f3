package std

import (
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/skua-go/skua/lua/vm"
)

const (
	// maxFiles bounds the files that a VM has open.
	maxFiles = 256
	// maxLineFormats bounds what io.lines takes behind the file, as in PUC Lua.
	maxLineFormats = 250
)

// IO is the library io, and the globals dofile and loadfile, for trusted scripts. It is Lua 5.4's but for io.popen, which is an error, and these bounds: a VM has
// up to 256 files open, and one read makes up to 256 MiB. Names are relative to the working directory of the node. All of it waits for the file system, and
// io.read for the node's standard input: the service, and the worker that runs it, do nothing else meanwhile. Files are written and closed when the VM is
// closed, or some time after a script has dropped them.
func IO() Library {
	return Library{Name: "io", Open: func(s vm.State) (end func()) {
		lib := &ioLibrary{files: &openFiles{}}
		lib.open(s)
		return lib.files.closeAll
	}}
}

// ioLibrary is what io keeps for one VM.
type ioLibrary struct {
	files   *openFiles
	meta    int // of files
	load    int // the global load
	in, out defaultFile
}

// defaultFile is what io.read or io.write go to.
type defaultFile struct {
	h    *handle
	ref  int
	name string
}

// handle is a file as scripts have it.
type handle struct{ s *stream }

// open fills the library's table, which is on top of the stack.
func (lib *ioLibrary) open(s vm.State) {
	set := func(funcs map[string]vm.Func) {
		for name, f := range funcs {
			s.PushFunc(name, f)
			s.SetField(-2, name)
		}
	}
	set(functions("io", map[string]func(call) int{
		"open": lib.ioOpen, "close": lib.ioClose, "read": lib.ioRead, "write": lib.ioWrite, "lines": lib.ioLines, "flush": lib.ioFlush,
		"input": lib.ioInput, "output": lib.ioOutput, "tmpfile": lib.ioTmpfile, "type": ioType, "popen": ioPopen,
	}))
	s.NewTable(0, 5)
	set(map[string]vm.Func{"__tostring": method(fileText), "__close": method(fileDrop)})
	s.PushString("FILE*")
	s.SetField(-2, "__name")
	s.NewTable(0, 7)
	set(map[string]vm.Func{
		"close": method(fileClose), "flush": method(fileFlush), "lines": method(fileLines), "read": method(fileRead), "seek": method(fileSeek),
		"setvbuf": method(fileSetvbuf), "write": method(fileWrite),
	})
	s.SetField(-2, "__index")
	lib.meta = s.Ref()
	for name, of := range map[string]*stream{"stdin": stdin, "stdout": stdout, "stderr": stderr} {
		h := lib.push(s, of)
		switch name {
		case "stdin":
			lib.in = defaultFile{h, lib.keep(s), "input"}
		case "stdout":
			lib.out = defaultFile{h, lib.keep(s), "output"}
		}
		s.SetField(-2, name)
	}
	s.Global("load")
	lib.load = s.Ref()
	for name, f := range map[string]func(call) int{"loadfile": lib.loadFile, "dofile": lib.doFile} {
		s.PushFunc(name, func(s vm.State) int { return f(call{s, name}) })
		s.SetGlobal(name)
	}
}

// keep refers to the value on top, which it leaves there.
func (lib *ioLibrary) keep(s vm.State) int {
	s.Copy(-1)
	return s.Ref()
}

// push pushes a new handle.
func (lib *ioLibrary) push(s vm.State, of *stream) *handle {
	h := &handle{of}
	s.PushUserdata(h)
	s.Push(lib.meta)
	s.SetMetatable(-2)
	return h
}

// pushOpened opens a file and pushes its handle; the file is closed when that is gone.
func (lib *ioLibrary) pushOpened(s vm.State, open func() (*os.File, error), reads, writes bool) error {
	of, err := lib.files.add(open, reads, writes)
	if err != nil {
		return err
	}
	h := lib.push(s, of)
	files := lib.files
	runtime.AddCleanup(h, func(of *stream) {
		go files.close(of) // which may wait for a pipe; nobody is left to be told of errors
	}, of)
	return nil
}

// openMode is how a mode of C's fopen opens a file.
func openMode(mode string) (flags int, reads, writes, ok bool) {
	rest := strings.TrimRight(mode, "b")
	kind, plus := strings.CutSuffix(rest, "+")
	switch kind {
	case "r":
		reads, writes = true, plus
	case "w":
		reads, writes, flags = plus, true, os.O_CREATE|os.O_TRUNC
	case "a":
		reads, writes, flags = plus, true, os.O_CREATE|os.O_APPEND
	default:
		return 0, false, false, false
	}
	switch {
	case plus:
		flags |= os.O_RDWR
	case writes:
		flags |= os.O_WRONLY
	}
	return flags, reads, writes, true
}

func (lib *ioLibrary) pushFile(c call, name, mode string) error {
	flags, reads, writes, _ := openMode(mode)
	return lib.pushOpened(c.State, func() (*os.File, error) {
		return os.OpenFile(name, flags, 0o666) //nolint:gosec,wrapcheck // what the script asks for; errors go to it in C's words
	}, reads, writes)
}

func (lib *ioLibrary) ioOpen(c call) int {
	name, mode := c.str(1), c.optStr(2, "r")
	if _, _, _, ok := openMode(mode); !ok {
		c.bad(2, "invalid mode")
	}
	if err := lib.pushFile(c, name, mode); err != nil {
		return c.fileResult(err, name)
	}
	return 1
}

// mustOpen is open for functions that raise an error instead.
func (lib *ioLibrary) mustOpen(c call, name, mode string) {
	if err := lib.pushFile(c, name, mode); err != nil {
		text, _ := errorText(err)
		c.Errorf("cannot open file '%s' (%s)", name, text)
	}
}

func (lib *ioLibrary) ioTmpfile(c call) int {
	err := lib.pushOpened(c.State, func() (*os.File, error) {
		f, err := os.CreateTemp("", "lua_")
		if err != nil {
			return nil, err //nolint:wrapcheck // it goes to the script in C's words
		}
		return f, os.Remove(f.Name())
	}, true, true)
	if err != nil {
		return c.fileResult(err, "")
	}
	return 1
}

func ioPopen(c call) int {
	c.Errorf("'popen' not supported: os.execute runs a command")
	return 0
}

func ioType(c call) int {
	c.any(1)
	h, ok := c.Userdata(1).(*handle)
	switch {
	case !ok:
		c.PushNil()
	case h.s.isClosed():
		c.PushString("closed file")
	default:
		c.PushString("file")
	}
	return 1
}

func (lib *ioLibrary) ioInput(c call) int  { return lib.choose(c, &lib.in, "r") }
func (lib *ioLibrary) ioOutput(c call) int { return lib.choose(c, &lib.out, "w") }

// choose sets the default file, if there is an argument, and gives it.
func (lib *ioLibrary) choose(c call, d *defaultFile, mode string) int {
	if !c.isNone(1) {
		if kind := c.Type(1); kind == vm.String || kind == vm.Number {
			lib.mustOpen(c, c.str(1), mode)
		} else {
			c.handle(1)
			c.Copy(1)
		}
		h, _ := c.Userdata(-1).(*handle)
		c.Unref(d.ref)
		d.h, d.ref = h, c.Ref()
	}
	c.Push(d.ref)
	return 1
}

// usable is a default file that is open.
func (c call) usable(d *defaultFile) *stream {
	if d.h.s.isClosed() {
		c.Errorf("default %s file is closed", d.name)
	}
	return d.h.s
}

func (lib *ioLibrary) ioClose(c call) int {
	if c.Type(1) == vm.None {
		c.Push(lib.out.ref)
	}
	return fileClose(c)
}

func (lib *ioLibrary) ioFlush(c call) int {
	return c.fileResult(c.usable(&lib.out).flushed(), "")
}

func (lib *ioLibrary) ioRead(c call) int {
	return c.readFrom(c.usable(&lib.in), 1)
}

func (lib *ioLibrary) ioWrite(c call) int {
	of := c.usable(&lib.out)
	return c.writeTo(of, 1, func() { c.Push(lib.out.ref) })
}

// ioLines is the iterator over a file's lines; behind those of a file that it opens it closes it, or the loop does, which gets the file as fourth value.
func (lib *ioLibrary) ioLines(c call) int {
	if c.isNone(1) {
		if c.Top() == 0 {
			c.PushNil()
		}
		if lib.in.h.s.isClosed() {
			c.Errorf("attempt to use a closed file")
		}
		c.pushLines(lib.in.h, false)
		return 1
	}
	lib.mustOpen(c, c.str(1), "r")
	h, _ := c.Userdata(-1).(*handle)
	c.Insert(1)
	c.Remove(2)
	c.pushLines(h, true)
	c.PushNil()
	c.PushNil()
	c.Copy(1)
	return 4
}

// loadFile is load of a file's text, whose first line may be a comment for a shell.
func (lib *ioLibrary) loadFile(c call) int {
	name := c.str(1)
	text, err := c.readSource(name)
	if err != nil {
		problem, _ := errorText(err)
		c.PushNil()
		c.PushString("cannot open " + name + ": " + problem)
		return 2
	}
	top, anyMode := c.Top(), c.isNone(2)
	c.Push(lib.load)
	c.PushString(text)
	c.PushString("@" + name)
	if anyMode {
		c.PushString("bt")
	} else {
		c.Copy(2)
	}
	args := 3
	if top >= 3 {
		c.Copy(3)
		args++
	}
	c.Call(args, vm.VariadicResults)
	return c.Top() - top
}

// doFile runs a file's chunk, which can't wait.
func (lib *ioLibrary) doFile(c call) int {
	c.SetTop(1)
	if lib.loadFile(c); c.Type(2) == vm.Nil {
		c.Raise()
	}
	c.SetTop(2)
	c.Call(0, vm.VariadicResults)
	return c.Top() - 1
}

func (c call) readSource(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err //nolint:wrapcheck // it goes to the script in C's words
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxString+1))
	if err != nil {
		return "", err //nolint:wrapcheck // see above
	}
	if len(data) > maxString {
		return "", syscall.EFBIG
	}
	c.alloc(len(data))
	text := string(data)
	if strings.HasPrefix(text, "#") { // the line stays, empty, so that those behind keep their numbers
		text = text[max(0, strings.IndexByte(text+"\n", '\n')):]
	}
	return text, nil
}
