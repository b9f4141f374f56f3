// Command ferretdb serves FerretDB 1.24 with its SQLite backend: the one server of MongoDB's wire protocol that can be
// built anywhere with the go command alone. Skua's tests use it as the other side of the wire.
//
// It is no database for players. Updates of one document are not atomic when they come on several connections, there
// are no transactions, change streams, TTL indexes, array filters or $expr, and a Decimal128 ends the connection.
// Tests therefore talk to it on one connection; what it can't show is shown by a real MongoDB, where MONGO_URI names one.
//
// It has a module of its own so that its dependencies are nobody else's.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on; port 0 takes a free one")
	dir := flag.String("dir", "", "directory of the database files; made if it is not there")
	attached := flag.Bool("attached", false, "end when standard input does, and so never outlive whoever started it")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: ferretdb --dir DIR [--listen ADDR] [--attached]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // however it ends
			stop()
		}()
	}
	if err := serve(ctx, *listen, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

// serve returns when ctx has ended and everything is closed.
func serve(ctx context.Context, listen, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return err
	}
	source := url.URL{Scheme: "file", Path: abs + "/"}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: listen},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler:   "sqlite",
		SQLiteURL: source.String(),
	})
	if err != nil {
		return err
	}
	// The listener is open already: who reads this line can connect.
	uri, err := url.Parse(db.MongoDBURI())
	if err != nil {
		return err
	}
	fmt.Println("ready", uri.Host)
	return db.Run(ctx)
}
