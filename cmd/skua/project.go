package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skua-go/skua/examples/arena"
)

// project is what a node runs: its configuration, its scripts and its page.
type project struct {
	cfg     Config
	scripts fs.FS
	web     fs.FS // nil if there is none
	ext     extension
}

// openProject reads the project in dir, or the demo in the binary when dir is empty.
func openProject(dir string, ext extension, flags ...func(*Config)) (*project, error) {
	open := openDir
	if dir == "" {
		open = openDemo
	}
	p, err := open(dir, flags...)
	if err != nil {
		return nil, err
	}
	p.ext = ext
	return p, ext.check(p.scripts)
}

func openDir(dir string, flags ...func(*Config)) (*project, error) {
	cfg, err := loadConfig(dir, os.Environ(), flags...)
	if err != nil {
		return nil, err
	}
	p := &project{cfg: cfg}
	trees := make(layers, 0, len(cfg.Lua.Path))
	for _, path := range cfg.Lua.Path {
		trees = append(trees, openFolder(cfg.Path(path)))
	}
	p.scripts = trees
	web := filepath.Join(dir, "web")
	if info, err := os.Stat(web); err == nil && info.IsDir() {
		p.web = os.DirFS(web)
	}
	return p, nil
}

func openDemo(_ string, flags ...func(*Config)) (*project, error) {
	text, err := fs.ReadFile(arena.Files(), configFile)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	cfg, err := demoConfig(text, os.Environ(), flags...)
	if err != nil {
		return nil, err
	}
	p := &project{cfg: cfg}
	if p.scripts, err = fs.Sub(arena.Files(), "scripts"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if p.web, err = fs.Sub(arena.Files(), "web"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return p, nil
}

// layers is a file system where each name is looked for in one tree after the other.
type layers []fs.FS

// Open opens the first file of that name.
func (l layers) Open(name string) (fs.File, error) {
	for _, tree := range l {
		f, err := tree.Open(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists what all trees have under that name, which fs.WalkDir needs.
func (l layers) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	seen := map[string]bool{}
	found := false
	for _, tree := range l {
		entries, err := fs.ReadDir(tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		for _, e := range entries {
			if !seen[e.Name()] {
				seen[e.Name()] = true
				all = append(all, e)
			}
		}
	}
	if !found {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return all, nil
}
