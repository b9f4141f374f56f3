package mongodb

import (
	"context"
	"fmt"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// ModuleName is the module in Go; scripts require skynet.db.mongo.
const ModuleName = "skynet.mongodriver"

// Module is `require "skynet.mongodriver"`, which scripts/skynet/db/mongo.lua makes the module skynet.db.mongo of. Documents are strings of BSON. Functions
// that fail for a reason outside of the script give nil and a text; wrong arguments are errors.
func (n *Clients) Module() lua.Module {
	return lua.Module{Name: ModuleName, Open: func(h *lua.Host, s vm.State) {
		u := newUser(n, h)
		funcs := map[string]vm.Func{
			"open": u.apiOpen, "close": u.apiClose, "command": u.apiCommand, "write": u.apiWrite, "send": u.apiSend,
			"find": u.apiFind, "next": u.apiNext, "drop": u.apiDrop,
		}
		s.NewTable(0, len(funcs))
		for name, f := range funcs {
			s.PushFunc(name, f)
			s.SetField(-2, name)
		}
	}}
}

// apiOpen connects and asks the server whether it is there, and whether it knows the user: the number of a client, or nil and why not.
func (u *user) apiOpen(s vm.State) int {
	cfg := argConf(s, "mongo.client")
	u.watch(s, "mongo.client")
	return u.call(s, "mongo.client", u.node.cfg.Timeout, nil, func(ctx context.Context) (answer, error) {
		l, err := u.node.link(cfg) //nolint:contextcheck // connections are shared, and outlive the call
		if err != nil {
			return nil, err
		}
		err = l.client.Ping(ctx, readpref.PrimaryPreferred())
		if err == nil {
			var id int64
			if id, err = u.add(&handle{link: l, lane: &lane{node: u.node, link: l, log: u.node.logOf(u)}}); err == nil {
				return func(s vm.State) int {
					s.PushInt(id)
					return 1
				}, nil
			}
		}
		err = l.told(ctx, err)
		u.node.release(l) //nolint:contextcheck // as above
		return nil, fmt.Errorf("mongo: can't connect: %w", err)
	})
}

// logOf is for what happens behind a service's back.
func (n *Clients) logOf(u *user) *slog.Logger {
	return n.cfg.Log.With("service", fmt.Sprintf("%08x", u.ref.ID()))
}

// apiClose gives a client up. What was sent is still written.
func (u *user) apiClose(s vm.State) int {
	h := u.handle(s, "disconnect")
	if h == nil {
		return 0
	}
	id, _ := s.Int(1)
	u.mu.Lock()
	delete(u.handles, id)
	u.mu.Unlock()
	u.node.finish(h)
	return 0
}

// target reads the client, the database and, if there is one at 3, the collection.
func (u *user) target(s vm.State, what string, collection bool) (h *handle, db, coll string) {
	h = u.handle(s, what)
	db, _ = s.String(2)
	if why := badName(db); why != "" {
		s.Errorf("%s: a database can't have the name %s: %s", what, s.Text(2), why)
	}
	if collection {
		coll, _ = s.String(3)
		if why := badName(coll); why != "" {
			s.Errorf("%s: a collection can't have the name %s: %s", what, s.Text(3), why)
		}
	}
	return h, db, coll
}

// apiCommand runs a command, argument 3, in a database: the server's reply.
func (u *user) apiCommand(s vm.State) int {
	h, db, _ := u.target(s, "runCommand", false)
	r, err := u.node.requestOf(document(s, 3, "runCommand"))
	if err != nil {
		return failed(s, err)
	}
	return u.with(s, r.name, h, r.timeout, func(ctx context.Context) (answer, error) {
		reply, err := h.link.run(ctx, db, r)
		return text(string(reply)), err
	})
}

// apiWrite does the operations of argument 4, in order unless argument 5 is false: a reply like those of MongoDB's own commands for writes.
func (u *user) apiWrite(s vm.State) int {
	h, db, coll := u.target(s, "write", true)
	models, err := operations(document(s, 4, "write"))
	if err != nil {
		return failed(s, fmt.Errorf("mongo: %w", err))
	}
	ordered := s.Type(5) != vm.Boolean || s.Bool(5)
	return u.with(s, "write", h, u.node.cfg.Timeout, func(ctx context.Context) (answer, error) {
		reply, err := h.link.write(ctx, db, coll, models, ordered)
		return text(string(reply)), err
	})
}

// apiSend does the operations of argument 4 some time soon, in the order of the calls: true. It waits only if too much is on its way already.
func (u *user) apiSend(s vm.State) int {
	h, db, coll := u.target(s, "send", true)
	raw := document(s, 4, "send")
	models, err := operations(raw)
	if err != nil {
		return failed(s, fmt.Errorf("mongo: %w", err))
	}
	if h == nil {
		return failed(s, ErrClosed)
	}
	if len(models) == 0 {
		s.PushBool(true)
		return 1
	}
	w := &sent{db: db, coll: coll, models: models, bytes: len(raw), done: make(chan struct{})}
	taken := func(s vm.State) int {
		s.PushBool(true)
		return 1
	}
	if h.lane.add(w) {
		return taken(s)
	}
	return u.with(s, "send", h, u.node.cfg.Timeout, func(context.Context) (answer, error) {
		if !h.lane.add(w) { //nolint:contextcheck // it is written whatever becomes of the call. If there is no room, others were faster
			return nil, fmt.Errorf("%w writes are on their way already", ErrTooMany)
		}
		return taken, nil
	})
}

// apiFind runs a command that opens a cursor: a list of documents, and the number of the cursor if there may be more.
func (u *user) apiFind(s vm.State) int {
	h, db, _ := u.target(s, "find", false)
	r, err := u.node.requestOf(document(s, 3, "find"))
	if err != nil {
		return failed(s, err)
	}
	return u.with(s, r.name, h, r.timeout, func(ctx context.Context) (answer, error) { return u.find(ctx, h.link, db, r) })
}

// apiNext gives a list of the next documents of a cursor, and its number again if there may be more.
func (u *user) apiNext(s vm.State) int {
	id, _ := s.Int(1)
	return u.call(s, "next", u.node.cfg.Timeout, nil, func(ctx context.Context) (answer, error) {
		c, err := u.borrow(id)
		if err != nil {
			return nil, err
		}
		return u.next(ctx, id, c)
	})
}

// apiDrop closes a cursor.
func (u *user) apiDrop(s vm.State) int {
	id, _ := s.Int(1)
	u.drop(id)
	return 0
}
