package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// request is a command as a script gives it.
type request struct {
	raw      bson.Raw
	name     string // of the command: its first key
	repeats  bool   // a read, which changes nothing when it is asked again
	timeout  time.Duration
	timeless bool // it says itself how long the server may take
}

// maxTime bounds the maxTimeMS of a script.
const maxTime = time.Hour

// requestOf looks at a command. What has to be a list is made one if it is an empty table, which might be a document as well.
func (n *Clients) requestOf(raw bson.Raw) (*request, error) {
	elements, err := raw.Elements()
	if err != nil {
		return nil, fmt.Errorf("mongo: the command: %w", err)
	}
	if len(elements) == 0 {
		return nil, errors.New("mongo: the command is empty")
	}
	r := &request{raw: raw, name: elements[0].Key(), timeout: n.cfg.Timeout}
	for _, e := range elements {
		v := e.Value()
		switch e.Key() {
		case "pipeline", "documents", "updates", "deletes", "indexes", "cursors":
			if doc, ok := v.DocumentOK(); ok && len(doc) == 5 {
				e[0] = byte(bson.TypeArray) // their bytes are the same; this is the type's, in raw
			}
		case "maxTimeMS":
			ms, ok := v.AsInt64OK()
			if ok && ms > 0 {
				r.timeless, r.timeout = true, max(r.timeout, min(time.Duration(min(ms, maxTime.Milliseconds()))*time.Millisecond+time.Second, maxTime))
			}
		}
	}
	switch r.name {
	case "find", "count", "distinct":
		r.repeats = true
	case "aggregate":
		r.repeats = !writes(raw)
	}
	return r, nil
}

// writes tells whether an aggregation stores what it finds.
func writes(raw bson.Raw) bool {
	stages, _ := documents(raw.Lookup("pipeline"))
	return slices.ContainsFunc(stages, func(stage bson.Raw) bool {
		first, err := stage.IndexErr(0)
		return err == nil && (first.Key() == "$out" || first.Key() == "$merge")
	})
}

// context is for the driver, which adds a maxTimeMS for a deadline: it must not see one where the command has its own.
func (r *request) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.timeless {
		return ctx, func() {}
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return inner, func() { stop(); cancel(nil) }
}

// preference is where reads go: to the primary unless the URI says something else.
func (r *request) preference(l *link) *options.RunCmdOptionsBuilder {
	if r.repeats && l.reads != nil {
		return options.RunCmd().SetReadPreference(l.reads)
	}
	return options.RunCmd().SetReadPreference(readpref.Primary())
}

// tried does f, and again if that is a read and the server has gone or has lost its role meanwhile.
func (r *request) tried(ctx context.Context, f func() error) error {
	err := f()
	if r.repeats && err != nil && ctx.Err() == nil && moved(err) {
		err = f()
	}
	return err
}

// moved tells errors after which the retryable-reads specification repeats a read.
func moved(err error) bool {
	if driver.IsNetworkError(err) {
		return true
	}
	var server driver.ServerError
	return errors.As(err, &server) && slices.ContainsFunc([]int{6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}, server.HasErrorCode)
}

// run gives the server's reply to a command, also one that says no.
func (l *link) run(ctx context.Context, db string, r *request) (bson.Raw, error) {
	inner, end := r.context(ctx)
	defer end()
	var reply bson.Raw
	err := r.tried(inner, func() (err error) {
		reply, err = l.client.Database(db).RunCommand(inner, r.raw, r.preference(l)).Raw()
		return err
	})
	if err == nil {
		return reply, nil
	}
	if said, ok := said(err); ok {
		return said, nil
	}
	return nil, l.err(ctx, err)
}

// badName tells why there can be no database, or collection, of a name, which the driver would find out too late.
func badName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case strings.ContainsRune(name, 0):
		return "it has a zero byte"
	}
	return ""
}
