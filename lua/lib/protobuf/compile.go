package protobuf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds of what is compiled.
const (
	maxText    = 4 << 20 // bytes of a file
	maxNesting = 64      // of brackets: names of types in types in types grow with the square of their depth
	maxCached  = 256     // results of compilations that a Library keeps
)

// Library compiles .proto files for the VMs of a node. Equal files are compiled once: what comes out of it is not changed any more.
type Library struct {
	files fs.FS

	mu    sync.Mutex
	cache map[[sha256.Size]byte]*compiled
}

// NewLibrary finds files that are imported, and those that load_file names, in files, which may be nil.
func NewLibrary(files fs.FS) *Library {
	return &Library{files: files, cache: map[[sha256.Size]byte]*compiled{}}
}

// compiled is a file with all that it imports.
type compiled struct {
	file  protoreflect.FileDescriptor
	types types
	read  map[string]string // the texts of imported files that were read
}

// read reads a file of the project.
func (l *Library) read(name string) (string, error) {
	if l.files == nil {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if !fs.ValidPath(name) {
		return "", fmt.Errorf("%q is not a name of a file of the project", name)
	}
	data, err := fs.ReadFile(l.files, name)
	if err != nil {
		return "", err
	}
	return string(data), check(name, string(data))
}

// check refuses texts that would take more than their share to compile.
func check(name, text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%s: the file is longer than %d bytes", name, maxText)
	}
	depth := 0
	for i := 0; i < len(text); {
		switch text[i] {
		case '{', '<', '[', '(':
			if depth++; depth > maxNesting {
				return fmt.Errorf("%s: brackets nest deeper than %d levels", name, maxNesting)
			}
		case '}', '>', ']', ')':
			depth--
		}
		i += skip(text[i:])
	}
	return nil
}

// skip is how long the comment or string is that text begins with, or 1.
func skip(text string) int {
	end := func(mark string) int {
		if n := strings.Index(text[2:], mark); n >= 0 {
			return 2 + n + len(mark)
		}
		return len(text)
	}
	switch {
	case strings.HasPrefix(text, "//"):
		return end("\n")
	case strings.HasPrefix(text, "/*"):
		return end("*/")
	case text[0] == '"' || text[0] == '\'':
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case text[0]:
				return i + 1
			case '\n':
				return i // strings end on their line
			}
		}
		return len(text)
	}
	return 1
}

// compile compiles a text. loaded are the files that the VM has compiled before, and key stands for all of them.
func (l *Library) compile(key [sha256.Size]byte, loaded map[string]protoreflect.FileDescriptor, name, text string) (*compiled, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.cache[key]; ok && l.current(c) {
		return c, nil
	}
	c := &compiled{read: map[string]string{}}
	find := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		if path == name {
			return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
		}
		if file, ok := loaded[path]; ok {
			return protocompile.SearchResult{Desc: file}, nil
		}
		source, err := l.read(path)
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		c.read[path] = source
		return protocompile.SearchResult{Source: io.Reader(strings.NewReader(source))}, nil
	})
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(find), MaxParallelism: 1}
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		return nil, err
	}
	c.file = files[0]
	c.types = newTypes()
	c.types.addFile(c.file, map[string]bool{})
	if len(l.cache) >= maxCached {
		clear(l.cache)
	}
	l.cache[key] = c
	return c, nil
}

// current tells whether the files that were read are still the same.
func (l *Library) current(c *compiled) bool {
	for name, text := range c.read {
		if now, err := l.read(name); err != nil || now != text {
			return false
		}
	}
	return true
}

// load compiles a text and adds its types to those of the VM.
func (r *registry) load(name, text string) error {
	if err := check(name, text); err != nil {
		return err
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("%q is not a name of a file", name)
	}
	h := sha256.New()
	_, _ = h.Write(r.key[:])
	_, _ = fmt.Fprintf(h, "%d:%s%s", len(name), name, text)
	key := [sha256.Size]byte(h.Sum(nil))
	c, err := r.library.compile(key, r.files, name, text)
	if err != nil {
		return err
	}
	if len(r.files) >= maxFiles {
		return errors.New("too many files are loaded")
	}
	r.key = key
	r.files[name] = c.file
	r.types.merge(c.types)
	return nil
}
