package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchQuiet is how long nothing must be saved until it is reloaded: editors write a file in several steps, and people save several files.
const watchQuiet = 150 * time.Millisecond

// folderWatch tells when a script is saved, wherever it lies: links are followed.
type folderWatch struct {
	*fsnotify.Watcher
	log    *slog.Logger
	roots  []string
	linked map[string]bool // files that links lead to
}

// watchFolder reloads whenever a script is saved, until ctx ends.
func (n *node) watchFolder(ctx context.Context) error {
	cfg := &n.project.cfg
	w, err := watchFolders(n.log, cfg.Lua.Path, cfg.Path)
	if err != nil {
		return fmt.Errorf("--watch: %w", err)
	}
	defer func() { _ = w.Close() }() // nothing is written to it
	n.log.Info("scripts are reloaded whenever one is saved", "folders", cfg.Lua.Path)
	quiet := time.NewTimer(watchQuiet)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if w.saved(e) {
				quiet.Reset(watchQuiet)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			n.log.Warn("--watch: something may have been missed: save once more", "error", err)
		case <-quiet.C:
			n.reloadSaved(ctx)
		}
	}
}

// watchFolders watches folders of scripts, also when one is taken away and comes back, as version control and deployments do.
func watchFolders(log *slog.Logger, dirs []string, at func(dir string) string) (*folderWatch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &folderWatch{Watcher: notify, log: log, linked: map[string]bool{}}
	for _, dir := range dirs {
		root, err := filepath.Abs(at(dir))
		if err == nil {
			w.roots = append(w.roots, root)
			err = w.tree(root)
		}
		if above := w.Add(filepath.Dir(root)); above != nil && !errors.Is(above, fs.ErrNotExist) {
			err = errors.Join(err, above)
		}
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// saved tells whether an event is about a script. A new folder is watched, too.
func (w *folderWatch) saved(e fsnotify.Event) bool {
	root, known := w.root(e.Name)
	switch {
	case !known:
		return w.linked[e.Name] && !e.Has(fsnotify.Chmod)
	case e.Has(fsnotify.Create):
		if root == e.Name {
			w.forget(root) // what is watched there may be the folder that was there before
		}
		if info, err := os.Stat(e.Name); err == nil && info.IsDir() {
			if err := w.tree(e.Name); err != nil {
				w.log.Warn("--watch: a new folder is not watched", "folder", e.Name, "error", err)
			}
			return true
		}
		w.link(e.Name)
	}
	return filepath.Ext(e.Name) == ".lua" && !e.Has(fsnotify.Chmod)
}

// root is the folder of scripts that a name is in, or is.
func (w *folderWatch) root(name string) (root string, known bool) {
	for _, root := range w.roots {
		if rest, in := strings.CutPrefix(name, root); in && (rest == "" || rest[0] == filepath.Separator || root == string(filepath.Separator)) {
			return root, true
		}
	}
	return "", false
}

// forget watches a folder, and those in it, no more.
func (w *folderWatch) forget(root string) {
	for _, name := range w.WatchList() {
		if of, known := w.root(name); known && of == root {
			_ = w.Remove(name) // it may be gone, and its watch with it
		}
	}
}

// tree watches a folder and those in it, without those whose names begin with a dot.
func (w *folderWatch) tree(root string) error {
	return fs.WalkDir(openFolder(root), ".", func(name string, d fs.DirEntry, err error) error {
		at := filepath.Join(root, filepath.FromSlash(name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // it is gone again
			return nil
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.IsDir():
			w.link(at)
			return nil
		}
		return w.Add(at)
	})
}

// link watches what a link to a script leads to. A file that is none is left alone: its folder is watched.
func (w *folderWatch) link(name string) {
	info, err := os.Lstat(name)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 || filepath.Ext(name) != ".lua" {
		return
	}
	to, err := filepath.EvalSymlinks(name)
	if err != nil {
		return // it leads nowhere: reading the scripts says so
	}
	if err := w.Add(filepath.Dir(to)); err != nil {
		w.log.Warn("--watch: what a link leads to is not watched", "link", name, "to", to, "error", err)
		return
	}
	w.linked[to] = true
}

// reloadSaved reloads, behind a change that is under way.
func (n *node) reloadSaved(ctx context.Context) {
	if _, err := n.reload.Await(ctx); err != nil && ctx.Err() != nil {
		return
	}
	n.reloadFor("--watch")
}
