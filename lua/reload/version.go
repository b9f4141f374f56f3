package reload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Version is the code of a project at one time: the texts of its scripts by their names. It does not change.
type Version struct {
	id    string
	files map[string]string
}

// NewVersion makes a version of texts by the names of their files, which have slashes and end in .lua: "agent.lua", "shop/init.lua".
func NewVersion(files map[string]string) *Version {
	v := &Version{files: maps.Clone(files)}
	h := sha256.New()
	for _, name := range v.Files() {
		fmt.Fprintf(h, "%d %d %s%s", len(name), len(files[name]), name, files[name])
	}
	v.id = hex.EncodeToString(h.Sum(nil))[:16]
	return v
}

// ReadVersion reads the scripts of a folder.
func ReadVersion(tree fs.FS) (*Version, error) {
	files := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".lua" {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reload: read the scripts: %w", err)
	}
	return NewVersion(files), nil
}

// ID is made of the names and texts: the same scripts have the same one, wherever they are. 16 hexadecimal digits.
func (v *Version) ID() string { return v.id }

// Files are the names of the scripts, sorted.
func (v *Version) Files() []string { return slices.Sorted(maps.Keys(v.files)) }

// Text is the text of a script.
func (v *Version) Text(file string) (text string, ok bool) {
	text, ok = v.files[file]
	return text, ok
}

// Find is where require finds a module, if it is one of the version's.
func (v *Version) Find(module string) (file string, ok bool) {
	base := strings.ReplaceAll(module, ".", "/")
	for _, file := range []string{base + ".lua", base + "/init.lua"} {
		if _, ok := v.files[file]; ok {
			return file, true
		}
	}
	return "", false
}

// ErrVersion is for a VM that does not run the version that an update begins with.
var ErrVersion = errors.New("reload: the VM runs another version")
