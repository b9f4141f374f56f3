package reload

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	code "github.com/skua-go/skua/lua/reload"
)

// Bounds of a version.
const (
	// MaxFiles is how many scripts a version may have, and MaxBytes how long they may be together.
	MaxFiles = 20_000
	MaxBytes = 64 << 20
)

// Read makes a version of the scripts of a folder, without those whose names, or folders, begin with a dot.
func Read(tree fs.FS) (*code.Version, error) {
	files, size := map[string]string{}, 0
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || path.Ext(name) != ".lua":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		files[name] = string(text)
		if size += len(text); size > MaxBytes || len(files) > MaxFiles {
			return fmt.Errorf("more than %d scripts or %d bytes of them, which is what a version may have", MaxFiles, MaxBytes)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reload: read the scripts: %w", err)
	}
	return code.NewVersion(files), nil
}

// pack is a version as bytes, compressed.
func pack(v *code.Version) ([]byte, error) {
	files := make(map[string]string, len(v.Files()))
	for _, name := range v.Files() {
		files[name], _ = v.Text(name)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(files), z.Close()); err != nil {
		return nil, fmt.Errorf("reload: pack version %s: %w", v.ID(), err)
	}
	return b.Bytes(), nil
}

// unpack reads what pack has made of the version of that ID.
func unpack(id string, packed []byte) (*code.Version, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("reload: version %s: %w", id, err)
	}
	files := map[string]string{}
	// As JSON a byte may take six.
	if err := json.NewDecoder(io.LimitReader(z, 6*MaxBytes+MaxFiles)).Decode(&files); err != nil {
		return nil, fmt.Errorf("reload: version %s: %w", id, err)
	}
	v := code.NewVersion(files)
	if v.ID() != id {
		return nil, fmt.Errorf("reload: version %s: its scripts are those of %s", id, v.ID())
	}
	return v, nil
}

// Tree shows a version as the folder of scripts that it was made of.
type Tree struct{ Version *code.Version }

// Open opens a script, or a folder.
func (t Tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if text, ok := t.Version.Text(name); ok {
		return &treeFile{Reader: strings.NewReader(text), entry: treeEntry{path.Base(name), int64(len(text))}}, nil
	}
	if entries := t.list(name); len(entries) > 0 || name == "." {
		return &treeFile{Reader: strings.NewReader(""), entry: treeEntry{path.Base(name), -1}, list: entries}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// list is what is in a folder.
func (t Tree) list(dir string) []fs.DirEntry {
	var all []fs.DirEntry
	last := ""
	for _, file := range t.Version.Files() { // sorted, so that those of a folder stand together
		rest, ok := strings.CutPrefix(file, dir+"/")
		if dir == "." {
			rest, ok = file, true
		}
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if name == last {
			continue
		}
		last = name
		e := treeEntry{name, -1}
		if !deeper {
			text, _ := t.Version.Text(file)
			e.size = int64(len(text))
		}
		all = append(all, e)
	}
	return all
}

// treeEntry is a script, or a folder, whose size is below 0.
type treeEntry struct {
	name string
	size int64
}

func (e treeEntry) Name() string               { return e.name }
func (e treeEntry) Size() int64                { return max(e.size, 0) }
func (e treeEntry) IsDir() bool                { return e.size < 0 }
func (e treeEntry) Type() fs.FileMode          { return e.Mode().Type() }
func (e treeEntry) Info() (fs.FileInfo, error) { return e, nil }
func (e treeEntry) ModTime() time.Time         { return time.Time{} }
func (e treeEntry) Sys() any                   { return nil }
func (e treeEntry) Mode() fs.FileMode {
	if e.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type treeFile struct {
	*strings.Reader
	entry treeEntry
	list  []fs.DirEntry
}

func (f *treeFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *treeFile) Close() error               { return nil }

// ReadDir lists a folder.
func (f *treeFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		all := f.list
		f.list = nil
		return all, nil
	}
	if len(f.list) == 0 {
		return nil, io.EOF
	}
	some := f.list[:min(n, len(f.list))]
	f.list = f.list[len(some):]
	return some, nil
}
