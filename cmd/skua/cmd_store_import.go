package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/store"
)

func newStoreImportCommand(at *storePlace) *cobra.Command {
	var merge bool
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Read the documents of an export into the database",
		Long: `Read the documents that ` + "`skua store export`" + ` wrote into the database, with their versions and epochs; - is the standard input. A file is
read twice: if it is damaged nothing is imported. What comes from the standard input is imported while it is read.

A database that has documents is refused without --merge. With it, documents that are there already stay as they are; they are
counted and named. An import that was interrupted is finished by the same command with --merge.`,
		Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			im := &importer{merge: merge, err: cmd.ErrOrStderr()}
			in, err := im.open(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			defer in.Close()
			return at.with(cmd, false, func(ctx context.Context, _ *project, db store.Backend) error { return im.run(ctx, db, in) })
		},
	}
	cmd.Flags().BoolVar(&merge, "merge", false, "import into a database that has documents; those stay as they are")
	return cmd
}

// importer brings an export into a database.
type importer struct {
	merge           bool
	err             io.Writer
	size            int64 // of the file, -1 if it is none
	there, refused  int64
	namedThere, bad int
}

// open opens a file and checks it, or takes the standard input.
func (im *importer) open(file string, stdin io.Reader) (io.ReadCloser, error) {
	im.size = -1
	if file == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("store import: %w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, err
	}
	im.size = info.Size()
	err = im.check(f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check reads a file to its end.
func (im *importer) check(f io.Reader) error {
	p := newProgress(im.err, "check", im.size)
	defer p.end()
	r, err := newExportReader(f)
	for err == nil {
		var d store.Doc
		if d, err = r.next(); err == nil {
			p.add(len(d.Body))
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%w; nothing was imported", err)
}

// What one call of the database gets.
const (
	importDocs  = 500
	importBytes = 8 << 20
)

// run imports what in has.
func (im *importer) run(ctx context.Context, db store.Backend, in io.Reader) error {
	if err := im.empty(ctx, db); err != nil {
		return err
	}
	r, err := newExportReader(in)
	if err != nil {
		return err
	}
	p := newProgress(im.err, "import", im.size)
	defer p.end()
	for err == nil {
		var batch []store.Doc
		for size := 0; len(batch) < importDocs && size < importBytes; {
			var d store.Doc
			if d, err = r.next(); err != nil {
				break
			}
			batch = append(batch, d)
			size += len(d.Body)
		}
		if failed := im.put(ctx, db, batch, p); failed != nil {
			return im.after(p, failed)
		}
	}
	if !errors.Is(err, io.EOF) {
		return im.after(p, err)
	}
	p.end()
	fmt.Fprintln(im.err, "imported", p.line())
	if im.there > 0 {
		fmt.Fprintf(im.err, "%d documents were there already and stay as they are\n", im.there)
	}
	if im.refused > 0 {
		return fmt.Errorf("store import: the database refused %d documents", im.refused)
	}
	return nil
}

// after tells how far an import came.
func (im *importer) after(p *progress, err error) error {
	return fmt.Errorf("%w; %d documents were imported before, the same command with --merge goes on", err, p.documents)
}

// empty refuses a database that has documents.
func (im *importer) empty(ctx context.Context, db store.Backend) error {
	if im.merge {
		return nil
	}
	kinds, err := db.Kinds(ctx)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		docs, err := db.Scan(ctx, kind, "", 1)
		if err != nil {
			return err
		}
		if len(docs) > 0 {
			return fmt.Errorf("store import: the database has documents, %s for one; --merge imports those that it has not", store.Name(kind, docs[0].ID))
		}
	}
	return nil
}

// mostNamed is how many documents of a sort are named.
const mostNamed = 20

// put imports a batch.
func (im *importer) put(ctx context.Context, db store.Backend, batch []store.Doc, p *progress) error {
	return persist(ctx, func() error {
		if len(batch) == 0 {
			return nil
		}
		results, err := db.Import(ctx, batch)
		if err != nil {
			return err
		}
		var again []store.Doc
		var why error
		for i, d := range batch {
			switch err := results[i]; {
			case err == nil:
				p.add(len(d.Body))
			case store.Retryable(err):
				again, why = append(again, d), err
			case errors.Is(err, store.ErrExists):
				im.there++
				im.name(&im.namedThere, p, store.Name(d.Kind, d.ID)+" is there already")
			default:
				im.refused++
				im.name(&im.bad, p, err.Error())
			}
		}
		batch = again
		return why
	})
}

// name tells of a document, if there were not too many.
func (im *importer) name(count *int, p *progress, text string) {
	*count++
	if *count > mostNamed+1 {
		return
	}
	p.end()
	if *count > mostNamed {
		text = "... and more, which are only counted"
	}
	fmt.Fprintln(im.err, text)
}
