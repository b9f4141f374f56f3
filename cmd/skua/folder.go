package main

import (
	"io/fs"
	"os"
	"path"
)

// folder is a folder of scripts on the disk. In it a link stands for what it leads to, so that folders which several projects share can be linked.
type folder struct{ fs.FS }

func openFolder(dir string) folder { return folder{os.DirFS(dir)} }

// ReadDir lists a folder, which fs.WalkDir needs. A link that leads nowhere, or to a folder that it is in, stays a link.
func (f folder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	for i, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if to, err := fs.Stat(f.FS, path.Join(name, e.Name())); err == nil && !f.within(name, to) {
			entries[i] = fs.FileInfoToDirEntry(to)
		}
	}
	return entries, err
}

// within tells whether a folder, by its name, is in another one, or is it.
func (f folder) within(name string, outer fs.FileInfo) bool {
	for outer.IsDir() {
		if is, err := fs.Stat(f.FS, name); err == nil && os.SameFile(is, outer) {
			return true
		}
		if name == "." {
			return false
		}
		name = path.Dir(name)
	}
	return false
}
