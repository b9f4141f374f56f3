package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/store"
)

func newQuarantinePutCommand(at *storePlace) *cobra.Command {
	var pick refusalPick
	var force bool
	cmd := &cobra.Command{
		Use:   "put KIND/ID",
		Short: "Write what was refused of a document again, now that the reason is gone",
		Long: `Write what was refused of a document again, now that the reason is gone, and take it out of the quarantine. It is done only if
nobody has written or opened the document since, which version and epoch tell; with --force it is written on top of whatever there is. Content
that the database refuses again stays in the quarantine. With MongoDB, see that no node has the document open: its owner's next write would be a conflict.`,
		Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, id, err := documentArg(args[0])
			if err != nil {
				return err
			}
			q, r, err := at.pick(kind, id, pick)
			if err != nil {
				return err
			}
			return at.with(cmd, true, func(ctx context.Context, _ *project, db store.Backend) error {
				return putBack(ctx, db, q, r, force, cmd.OutOrStdout())
			})
		},
	}
	pick.flag(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "write it although the document has moved on: what has come since is gone then")
	return cmd
}

func newQuarantineDropCommand(at *storePlace) *cobra.Command {
	var pick refusalPick
	cmd := &cobra.Command{
		Use:   "drop KIND/ID",
		Short: "Take what was refused of a document out of the quarantine, for good",
		Args:  positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, id, err := documentArg(args[0])
			if err != nil {
				return err
			}
			q, r, err := at.pick(kind, id, pick)
			if err != nil {
				return err
			}
			if err := q.Remove(r.File); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  epoch %d  is dropped\n", store.Name(kind, id), r.Epoch)
			return err
		},
	}
	pick.flag(cmd)
	return cmd
}

// documentArg reads KIND/ID.
func documentArg(arg string) (kind, id string, err error) {
	kind, id, ok := strings.Cut(arg, "/")
	if !ok || kind == "" || id == "" {
		return "", "", &usageError{fmt.Errorf("store quarantine: %q is no KIND/ID", arg)}
	}
	return kind, id, nil
}

// refusalPick tells which of several contents of one document is meant.
type refusalPick struct{ epoch int64 }

func (f *refusalPick) flag(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&f.epoch, "epoch", -1, "epoch in which it was refused, where several contents of the document are there")
}

// pick finds the one content of a document that a command is about.
func (at *storePlace) pick(kind, id string, which refusalPick) (*store.Quarantine, store.Refusal, error) {
	var found []store.Refusal
	var epochs []string
	q, err := at.quarantine(func(r store.Refusal) error {
		if r.Kind == kind && r.ID == id && (which.epoch < 0 || r.Epoch == which.epoch) {
			found, epochs = append(found, r), append(epochs, strconv.FormatInt(r.Epoch, 10))
		}
		return nil
	})
	switch {
	case len(found) == 1: // another file that can't be read does not matter
		return q, found[0], nil
	case err != nil:
		return nil, store.Refusal{}, err
	case len(found) > 1:
		return nil, store.Refusal{}, &usageError{fmt.Errorf("store quarantine: %s is there more than once, in the epochs %s: say --epoch", store.Name(kind, id), strings.Join(epochs, ", "))}
	case which.epoch >= 0:
		return nil, store.Refusal{}, fmt.Errorf("store quarantine: there is nothing of %s in epoch %d", store.Name(kind, id), which.epoch)
	default:
		return nil, store.Refusal{}, nothingOf(kind, id)
	}
}

func nothingOf(kind, id string) error {
	return fmt.Errorf("store quarantine: there is nothing of %s", store.Name(kind, id))
}

// putBack writes a content that was refused, and takes it out of the quarantine.
func putBack(ctx context.Context, db store.Backend, q *store.Quarantine, r store.Refusal, force bool, out io.Writer) error {
	name := store.Name(r.Kind, r.ID)
	var doc store.Doc
	err := persist(ctx, func() (err error) {
		if doc, err = db.Load(ctx, r.Kind, r.ID); errors.Is(err, store.ErrNotFound) {
			err = nil // its version and epoch are told nevertheless
		}
		return err
	})
	if err != nil {
		return err
	}
	moved := doc.Version != r.Version || doc.Epoch != r.Epoch
	told := fmt.Sprintf("%s  version %d  is what the database has already\n", name, doc.Version)
	switch {
	case bytes.Equal(doc.Body, r.Body): // put by a run that was interrupted, say
	case moved && !force:
		return fmt.Errorf("store quarantine: %s has moved on: the content was refused on top of version %d in epoch %d, and the database has version %d in epoch %d; "+
			"--force writes it on top of that", name, r.Version, r.Epoch, doc.Version, doc.Epoch)
	default:
		w := store.Write{Kind: r.Kind, ID: r.ID, Version: doc.Version, Epoch: doc.Epoch, Nonce: store.NewNonce(), Body: r.Body}
		if err := persist(ctx, func() error { return applyOne(ctx, db, w) }); err != nil {
			return fmt.Errorf("store quarantine: %s stays where it is: %w", name, err)
		}
		told = fmt.Sprintf("%s  version %d  is put back\n", name, doc.Version+1)
	}
	if err := q.Remove(r.File); err != nil {
		return err
	}
	_, err = io.WriteString(out, told)
	return err
}

func applyOne(ctx context.Context, db store.Backend, w store.Write) error {
	results, err := db.Apply(ctx, []store.Write{w})
	if err != nil {
		return err
	}
	return results[0]
}
