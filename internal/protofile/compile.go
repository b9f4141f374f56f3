// Package protofile compiles .proto files at run time and holds what those who code by them ask of a type, read once. Scripts and the bodies of clients'
// messages are coded by it, each straight into values of its own, without a message in between.
package protofile

import (
	"context"
	"crypto/sha256"
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

// Library compiles .proto files. Equal files are compiled once: what comes out of it is not changed any more. It may be used from any goroutine.
type Library struct {
	files fs.FS

	mu    sync.Mutex
	cache map[[sha256.Size]byte]*Compiled
}

// NewLibrary finds files that are imported, and those that Read names, in files, which may be nil.
func NewLibrary(files fs.FS) *Library {
	return &Library{files: files, cache: map[[sha256.Size]byte]*Compiled{}}
}

// Compiled is a file with all that it imports.
type Compiled struct {
	File  protoreflect.FileDescriptor
	Types Types
	read  map[string]string // the texts of imported files that were read
}

// Read reads a file.
func (l *Library) Read(name string) (string, error) {
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
	return string(data), Check(name, string(data))
}

// Check refuses texts that would take more than their share to compile, and what is no name of a file.
func Check(name, text string) error {
	if !fs.ValidPath(name) {
		return fmt.Errorf("%q is not a name of a file", name)
	}
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

// Compile compiles a text that Check has let pass. loaded are the files that were compiled before and may be imported, and key stands for them, the name
// and the text.
func (l *Library) Compile(key [sha256.Size]byte, loaded map[string]protoreflect.FileDescriptor, name, text string) (*Compiled, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.cache[key]; ok && l.current(c) {
		return c, nil
	}
	c := &Compiled{read: map[string]string{}}
	find := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		if path == name {
			return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
		}
		if file, ok := loaded[path]; ok {
			return protocompile.SearchResult{Desc: file}, nil
		}
		source, err := l.Read(path)
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
	c.File = files[0]
	c.Types = NewTypes()
	c.Types.addFile(c.File, map[string]bool{})
	if len(l.cache) >= maxCached {
		clear(l.cache)
	}
	l.cache[key] = c
	return c, nil
}

// current tells whether the files that were read are still the same.
func (l *Library) current(c *Compiled) bool {
	for name, text := range c.read {
		if now, err := l.Read(name); err != nil || now != text {
			return false
		}
	}
	return true
}
