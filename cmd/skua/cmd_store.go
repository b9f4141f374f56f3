package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/skua-go/skua/internal/filelock"
	"github.com/skua-go/skua/services/store"
)

func newStoreCommand(ext extension) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Move, migrate and look into the documents of a project",
		Long: `Move, migrate and look into the documents of a project, in the database that its configuration names: MongoDB with store.mongo,
else the embedded one in its directory of data, which must not be in use by a node.

Exit codes: 0 done, 1 failed, 2 wrong use.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return &usageError{fmt.Errorf("unknown command %q; `skua store --help` lists them", args[0])}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	at := storePlace{ext: ext}
	f := cmd.PersistentFlags()
	f.StringVarP(&at.dir, "dir", "C", ".", "directory of the project")
	f.StringVar(&at.data, "data", "", "directory of the embedded database (key data)")
	cmd.AddCommand(newStoreExportCommand(&at), newStoreImportCommand(&at), newStoreMigrateCommand(&at), newStoreQuarantineCommand(&at))
	return cmd
}

// storePlace says where the documents are.
type storePlace struct {
	dir, data string
	ext       extension
}

// project is the one whose documents they are.
func (at *storePlace) project() (*project, error) {
	if _, err := projectDir([]string{at.dir}); err != nil {
		return nil, err
	}
	p, err := openProject(at.dir, at.ext, func(c *Config) {
		if abs, err := filepath.Abs(at.data); err == nil && at.data != "" {
			c.Data = abs
		}
	})
	if err != nil {
		return nil, &usageError{err}
	}
	return p, nil
}

// with calls f with the project's database. Signals end its context. A database that is only read is not made where there is none.
func (at *storePlace) with(cmd *cobra.Command, reads bool, f func(ctx context.Context, p *project, db store.Backend) error) (err error) {
	p, err := at.project()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	data := p.cfg.Path(p.cfg.Data)
	// The name is part of the format on the disk, see docs/store.md.
	if reads && p.cfg.Store.Mongo.Reveal() == "" {
		if _, err := os.Stat(filepath.Join(data, "store.db")); err != nil {
			return fmt.Errorf("store: there is no embedded database in %s, and no store.mongo is configured: %w", data, err)
		}
	}
	db, err := (&node{project: p, log: slog.New(slog.DiscardHandler)}).openBackend(ctx)
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("%w: a node or another command has the embedded database open; stop it first (skua run ends with SIGTERM, after all is saved)", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = f(ctx, p, db)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	return err
}

// progress tells whoever sits at a terminal how far a command is; others get nothing but its last line.
type progress struct {
	bar       *progressbar.ProgressBar
	err       io.Writer
	what      string
	documents int64
	bytes     int64
	began     time.Time
	told      time.Time
	drawn     bool
}

// newProgress counts up to so many bytes, -1 if that is not known.
func newProgress(w io.Writer, what string, most int64) *progress {
	p := &progress{err: w, what: what, began: time.Now()}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.bar = progressbar.NewOptions64(most, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetDescription(what), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionUseANSICodes(false))
	}
	return p
}

// add counts a document of so many bytes.
func (p *progress) add(size int) {
	p.documents++
	p.bytes += int64(size)
	if p.bar == nil {
		return
	}
	if now := time.Now(); now.Sub(p.told) > 100*time.Millisecond {
		p.told = now
		p.bar.Describe(fmt.Sprintf("%s: %d documents, %.1f MB", p.what, p.documents, float64(p.bytes)/1e6))
	}
	p.drawn = true
	_ = p.bar.Add(size) // only a terminal
}

// end takes the bar away, for lines to be written; the next document brings it back.
func (p *progress) end() {
	if p.drawn {
		p.drawn = false
		_ = p.bar.Clear()
	}
}

// line counts what was done, for people.
func (p *progress) line() string {
	took := time.Since(p.began)
	return fmt.Sprintf("%d documents, %d bytes of content, in %v (%.1f MB/s)", p.documents, p.bytes, took.Round(time.Millisecond), float64(p.bytes)/1e6/max(took.Seconds(), 1e-3))
}

// storePatience is how long a command tries again when the database does not answer.
const storePatience = 30 * time.Second

// persist calls f until it works, fails for good, or has been without success for storePatience.
func persist(ctx context.Context, f func() error) error {
	limit := time.Now().Add(storePatience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := f()
		if err == nil || !store.Retryable(err) || time.Now().After(limit) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// scanPage is how many documents are read at once.
const scanPage = 500

// scan calls f with all documents of a kind, in the order of their ids.
func scan(ctx context.Context, db store.Backend, kind string, f func(docs []store.Doc) error) error {
	after := ""
	for {
		var docs []store.Doc
		err := persist(ctx, func() (err error) {
			docs, err = db.Scan(ctx, kind, after, scanPage)
			return err
		})
		if err != nil || len(docs) == 0 {
			return err
		}
		if err := f(docs); err != nil {
			return err
		}
		after = docs[len(docs)-1].ID
	}
}
