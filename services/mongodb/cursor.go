package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/skua-go/skua/lua/vm"
)

// cursor is one that is open on a server.
type cursor struct {
	link  *link
	inner *driver.Cursor
	used  time.Time // guarded by user.mu, like busy
	busy  bool      // a coroutine waits for its next documents
}

// batch is documents as an answer: a list of strings.
func batch(id int64, docs []string) answer {
	return func(s vm.State) int {
		s.NewTable(len(docs), 0)
		for i, doc := range docs {
			s.PushString(doc)
			s.RawSetInt(-2, int64(i)+1)
		}
		if id == 0 {
			return 1
		}
		s.PushInt(id)
		return 2
	}
}

// find opens a cursor by a command and gives its first documents, and its number if there may be more.
func (u *user) find(ctx context.Context, l *link, db string, r *request) (answer, error) {
	inner, end := r.context(ctx)
	defer end()
	var c *driver.Cursor
	err := r.tried(inner, func() (err error) {
		c, err = l.client.Database(db).RunCommandCursor(inner, r.raw, r.preference(l))
		return err
	})
	if err != nil {
		return nil, l.told(ctx, err)
	}
	docs, err := more(inner, c)
	kept := &cursor{link: l, inner: c, used: time.Now()}
	u.node.retain(l)
	if err != nil || c.ID() == 0 {
		u.node.shut(kept) //nolint:contextcheck // it is closed whatever becomes of the call
		if err != nil {
			return nil, l.told(ctx, err)
		}
		return batch(0, docs), nil
	}
	id, err := u.keep(kept) //nolint:contextcheck // one that it closes is another call's
	if err != nil {
		u.node.shut(kept) //nolint:contextcheck // as above
		return nil, err
	}
	return batch(id, docs), nil
}

// told is the error that a script gets for one of the driver: in the server's words, if it has answered.
func (l *link) told(ctx context.Context, err error) error {
	if reply, ok := said(err); ok {
		if text, ok := reply.Lookup("errmsg").StringValueOK(); ok {
			return l.clean.Error(errors.New(text))
		}
	}
	return l.err(ctx, err)
}

// more takes the next documents that the server gives at once; none at the end.
func more(ctx context.Context, c *driver.Cursor) ([]string, error) {
	var docs []string
	for len(docs) == 0 || c.RemainingBatchLength() > 0 {
		if !c.Next(ctx) {
			return docs, c.Err()
		}
		docs = append(docs, string(c.Current))
	}
	return docs, nil
}

// keep gives a cursor a number. Where there are too many, the one that was idle for the longest time is closed.
func (u *user) keep(c *cursor) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return 0, ErrClosed
	}
	if len(u.cursors) >= u.node.cfg.MaxCursors {
		oldest := int64(0)
		for id, other := range u.cursors {
			if !other.busy && (oldest == 0 || other.used.Before(u.cursors[oldest].used)) {
				oldest = id
			}
		}
		if oldest == 0 {
			return 0, fmt.Errorf("%w cursors are being read by this service: %d", ErrTooMany, len(u.cursors))
		}
		u.node.cfg.Metrics.evicted.Inc()
		u.node.discard(u.cursors[oldest])
		delete(u.cursors, oldest)
	}
	u.last++
	u.cursors[u.last] = c
	u.node.cfg.Metrics.cursors.Inc()
	return u.last, nil
}

// borrow takes a cursor for its next documents.
func (u *user) borrow(id int64) (*cursor, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.cursors[id]
	switch {
	case c == nil:
		return nil, fmt.Errorf("mongo: the cursor is closed; a service has %d at most, and one more closes the one that was idle for the longest time", u.node.cfg.MaxCursors)
	case c.busy:
		return nil, errors.New("mongo: another coroutine reads the cursor")
	}
	c.busy = true
	return c, nil
}

// next gives the next documents of a cursor, and closes it behind the last one.
func (u *user) next(ctx context.Context, id int64, c *cursor) (answer, error) {
	docs, err := more(ctx, c.inner)
	u.mu.Lock()
	c.busy, c.used = false, time.Now()
	open := u.cursors[id] == c // nobody has closed it meanwhile
	last := err != nil || c.inner.ID() == 0
	if open && last {
		delete(u.cursors, id)
		u.node.cfg.Metrics.cursors.Dec()
	}
	u.mu.Unlock()
	if !open || last {
		u.node.shut(c) //nolint:contextcheck // it is closed whatever becomes of the call
		id = 0
	}
	if err != nil {
		return nil, c.link.told(ctx, err)
	}
	return batch(id, docs), nil
}

// drop closes a cursor that a script has no use for any more. One that is being read is closed by its reader.
func (u *user) drop(id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.cursors[id]; c != nil {
		u.node.discard(c)
		delete(u.cursors, id)
	}
}

// discard closes a cursor that has left its table, in the background. One that is being read is closed by its reader.
func (n *Clients) discard(c *cursor) {
	n.cfg.Metrics.cursors.Dec()
	if !c.busy && !n.task(func() { n.shut(c) }) {
		n.shut(c)
	}
}

// shut tells the server that a cursor is not read any more, if it is open there, and gives the link back. It blocks.
func (n *Clients) shut(c *cursor) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	_ = c.inner.Close(ctx) // the server closes it by itself if it never hears of this
	n.release(c.link)
}

// document reads argument i, the bytes of a document.
func document(s vm.State, i int, what string) bson.Raw {
	text, ok := s.String(i)
	if !ok {
		s.Errorf("%s: a document is expected as argument %d, got %s", what, i, s.Type(i))
	}
	return bson.Raw(text)
}
