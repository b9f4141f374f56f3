package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/cluster"
)

//go:embed template
var templates embed.FS

func newNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new NAME",
		Short: "Make a project that runs: a service, an agent, a test",
		Args:  positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			name := filepath.Base(filepath.Clean(dir))
			if err := cluster.CheckName(name); err != nil {
				return &usageError{fmt.Errorf("new: %w", err)}
			}
			if err := newProject(dir, name); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "made %s; start it with: skua run %s\n", dir, dir)
			return err
		},
	}
}

// newProject writes the template into dir, which must not have anything in it.
func newProject(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return fmt.Errorf("new: %s has files in it already", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("new: %w", err)
	}
	err = fs.WalkDir(templates, "template", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("template", filepath.FromSlash(path))
		if err != nil {
			return err
		}
		if name := d.Name(); name == "gitignore" || name == "luarc.json" {
			rel = filepath.Join(filepath.Dir(rel), "."+name) // embedded files can't have a name with a dot in front
		}
		target := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755) //nolint:gosec // sources are for everybody to read
		}
		return writeTemplate(path, target, name)
	})
	if err != nil {
		return err
	}
	return writeMeta(dir)
}

func writeTemplate(path, target, name string) (err error) {
	t, err := template.ParseFS(templates, path)
	if err != nil {
		return fmt.Errorf("new: %w", err)
	}
	f, err := os.Create(target)
	if err != nil {
		return fmt.Errorf("new: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return t.Execute(f, struct{ Name string }{name})
}
