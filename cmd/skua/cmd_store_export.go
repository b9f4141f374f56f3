package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/store"
)

func newStoreExportCommand(at *storePlace) *cobra.Command {
	var kinds []string
	cmd := &cobra.Command{
		Use:   "export FILE|-",
		Short: "Write all documents, or those of some kinds, to a file",
		Long: `Write all documents, or those of some kinds, to a file that ` + "`skua store import`" + ` reads, with their versions and epochs; - is the
standard output. The file must not be there yet, and is there only when it is whole. While nodes write to a MongoDB it has each document as it
was at some moment of the export.`,
		Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.with(cmd, true, func(ctx context.Context, _ *project, db store.Backend) error {
				p := newProgress(cmd.ErrOrStderr(), "export", -1)
				defer p.end()
				err := exportTo(args[0], cmd.OutOrStdout(), func(w io.Writer) error { return export(ctx, db, kinds, w, p) })
				if err != nil {
					return err
				}
				p.end()
				fmt.Fprintln(cmd.ErrOrStderr(), "exported", p.line())
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&kinds, "kind", nil, "only documents of this kind; may be given again")
	return cmd
}

// export writes documents of the kinds, or of all.
func export(ctx context.Context, db store.Backend, kinds []string, w io.Writer, p *progress) error {
	if len(kinds) == 0 {
		err := persist(ctx, func() (err error) {
			kinds, err = db.Kinds(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	kinds = slices.Clone(kinds)
	slices.Sort(kinds)
	out, err := newExportWriter(w)
	if err != nil {
		return err
	}
	for _, kind := range slices.Compact(kinds) {
		err := scan(ctx, db, kind, func(docs []store.Doc) error {
			for _, d := range docs {
				if err := out.add(d); err != nil {
					return err
				}
				p.add(len(d.Body))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return out.end()
}

// exportTo has a file written that is there in whole or not at all; - is the standard output.
func exportTo(file string, stdout io.Writer, write func(io.Writer) error) error {
	if file == "-" {
		return write(stdout)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("store export: %s is there already", file), err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*") // for this user only: players are in it
	if err != nil {
		return fmt.Errorf("store export: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Link(f.Name(), file) // unlike a rename, it replaces nothing
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return fmt.Errorf("store export: %w", err)
	}
	return nil
}
