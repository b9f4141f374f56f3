package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchQuiet is how long nothing must be saved until it is reloaded: editors write a file in several steps, and people save several files.
const watchQuiet = 150 * time.Millisecond

// watchFolder reloads whenever a script is saved, until ctx ends.
func (n *node) watchFolder(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("--watch: %w", err)
	}
	defer func() { _ = w.Close() }() // nothing is written to it
	cfg := &n.project.cfg
	if cfg.Dir == "" {
		return errors.New("--watch: the demo in the binary does not change: give the directory of a project")
	}
	for _, dir := range cfg.Lua.Path {
		if err := watchTree(w, cfg.Path(dir)); err != nil {
			return fmt.Errorf("--watch: %w", err)
		}
	}
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
			if n.saved(w, e) {
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

// saved tells whether an event is about a script. A new folder is watched, too.
func (n *node) saved(w *fsnotify.Watcher, e fsnotify.Event) bool {
	if e.Has(fsnotify.Create) {
		if info, err := os.Stat(e.Name); err == nil && info.IsDir() {
			if err := watchTree(w, e.Name); err != nil {
				n.log.Warn("--watch: a new folder is not watched", "folder", e.Name, "error", err)
			}
			return true
		}
	}
	return filepath.Ext(e.Name) == ".lua" && !e.Has(fsnotify.Chmod)
}

// watchTree watches a folder and those in it, without those whose names begin with a dot.
func watchTree(w *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it is gone again
			return nil
		case err != nil || !d.IsDir():
			return err
		case path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		return w.Add(path)
	})
}

// reloadSaved reloads, behind a change that is under way.
func (n *node) reloadSaved(ctx context.Context) {
	if _, err := n.reload.Await(ctx); err != nil && ctx.Err() != nil {
		return
	}
	n.reloadFor("--watch")
}
