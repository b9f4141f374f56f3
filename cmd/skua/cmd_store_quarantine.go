package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func newStoreQuarantineCommand(at *storePlace) *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error { return at.listQuarantine(cmd.OutOrStdout()) }
	cmd := &cobra.Command{
		Use:   "quarantine [list|show KIND/ID|put KIND/ID|drop KIND/ID]",
		Short: "Look at the content that the database refused, put it back, or drop it",
		Long: `Look at the content that the database refused, which nodes keep as files under store-quarantine in their directory of data, put it
back, or drop it. A node may be running meanwhile, but for put into its embedded database. A file goes by itself when the database has taken later
content of its document from the same run of the node.`,
		Args: positional(cobra.NoArgs),
		RunE: list,
	}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "A line a document: when, which, its version and epoch, the file, the error", Args: positional(cobra.NoArgs), RunE: list})
	cmd.AddCommand(&cobra.Command{
		Use: "show KIND/ID", Short: "What was refused of a document, as MongoDB's Extended JSON", Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, id, err := documentArg(args[0])
			if err != nil {
				return err
			}
			return at.showQuarantine(cmd.OutOrStdout(), kind, id)
		},
	}, newQuarantinePutCommand(at), newQuarantineDropCommand(at))
	return cmd
}

// quarantine calls f with all that is in it, until it fails. Files that can't be read are an error behind all others.
func (at *storePlace) quarantine(f func(r store.Refusal) error) (*store.Quarantine, error) {
	p, err := at.project()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(p.cfg.Path(p.cfg.Data), quarantineDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no node has run here, and f is not called
	}
	q, err := store.OpenQuarantine(dir, 0, 0)
	if err != nil {
		return nil, err
	}
	var unread []error
	for r, err := range q.List {
		if err == nil {
			err = f(r)
		}
		if err != nil {
			unread = append(unread, err)
		}
	}
	return q, errors.Join(unread...)
}

func (at *storePlace) listQuarantine(out io.Writer) error {
	n := 0
	_, err := at.quarantine(func(r store.Refusal) error {
		n++
		_, err := fmt.Fprintf(out, "%s  %s  version %d  epoch %d  %s\n    %s\n", r.Time.UTC().Format(time.RFC3339), store.Name(r.Kind, r.ID), r.Version, r.Epoch, r.File, r.Error)
		return err
	})
	if err == nil && n == 0 {
		fmt.Fprintln(out, "nothing is in the quarantine")
	}
	return err
}

func (at *storePlace) showQuarantine(out io.Writer, kind, id string) error {
	found := false
	_, err := at.quarantine(func(r store.Refusal) error {
		if r.Kind != kind || r.ID != id {
			return nil
		}
		found = true
		text, err := bson.MarshalExtJSONIndent(r, false, false, "", "  ")
		if err != nil {
			return fmt.Errorf("store quarantine: %s: %w", r.File, err)
		}
		_, err = fmt.Fprintln(out, string(text))
		return err
	})
	if err == nil && !found {
		return nothingOf(kind, id)
	}
	return err
}
