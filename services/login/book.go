package login

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// book knows which players are banned and which tokens are revoked. All of it is in memory, and in documents of kind "login", each with the players of one
// shard. A change holds at once; it is written by claiming its shard, so that the changes of several nodes are all kept.
type book struct {
	cfg    Config
	shards [shards]shard
	n      int // players in all shards
	unread int // shards that were not read yet
	failed bool
	early  []func() // who waits for the first reading
	next   int      // shard that is read again next
	out    func(*actor.Context, Out)
}

// shards bounds what one change writes: with 200,000 players in the book, some 3,000 each.
const shards = 64

const (
	bookKind = "login"
	// bookTidy is how often one shard forgets what is over.
	bookTidy = time.Minute
)

type shard struct {
	players map[string]*standing
	read    bool
	dirty   map[string]struct{} // players that are not written yet
	waiting []func(error)       // who waits for these to be durable
	busy    bool                // is being written
}

func newBook(cfg Config) book {
	b := book{cfg: cfg, unread: shards}
	for i := range b.shards {
		b.shards[i] = shard{players: map[string]*standing{}, dirty: map[string]struct{}{}}
	}
	return b
}

func (b *book) start(c *actor.Context) {
	for i := range b.shards {
		b.read(c, i)
	}
	if b.cfg.Refresh > 0 {
		c.Every(b.cfg.Refresh/shards, func() {
			b.next = (b.next + 1) % shards
			if b.shards[b.next].read {
				b.read(c, b.next)
			}
		})
	}
	tidied := 0
	c.Every(bookTidy, func() {
		tidied = (tidied + 1) % shards
		b.tidy(&b.shards[tidied])
	})
}

// stop names what is lost.
func (b *book) stop(c *actor.Context) {
	lost := 0
	for i := range b.shards {
		lost += len(b.shards[i].dirty)
	}
	if lost > 0 {
		c.Log().Error("stopped before all bans and revoked tokens were written: they are lost", "players", lost)
	}
}

// known tells whether all was read once.
func (b *book) known() bool { return b.unread == 0 }

func shardOf(uid string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	return int(h.Sum32() % shards)
}

func shardID(i int) string { return fmt.Sprintf("players-%02d", i) }

// read takes in what the database has.
func (b *book) read(c *actor.Context, i int) {
	c.Detached(func() {
		load(c, shardID(i), func(doc store.Doc, err error) {
			sh := &b.shards[i]
			if err == nil && !sh.busy { // else it is read again before it is written
				err = b.adopt(c, sh, doc)
			}
			switch {
			case err != nil && !sh.read:
				if !b.failed { // a line for all of them
					c.Log().Error("bans can't be read: nobody can log in", "document", bookKind+"/"+shardID(i), "error", err)
				}
				b.failed = true
				b.wake()
				c.After(b.cfg.Retry, func() { b.read(c, i) })
			case err != nil:
				c.Log().Warn("bans can't be read again", "document", bookKind+"/"+shardID(i), "error", err)
			case !sh.read:
				sh.read = true
				if b.unread--; b.unread == 0 {
					b.allRead(c)
				}
			}
		})
	})
}

func (b *book) allRead(c *actor.Context) {
	if b.failed {
		c.Log().Info("bans are read")
	}
	b.failed = false
	b.wake()
}

func (b *book) wake() {
	early := b.early
	b.early = nil
	for _, f := range early {
		f()
	}
}

// load reads a document of the service; one that is not there is empty.
func load(c *actor.Context, id string, then func(store.Doc, error)) {
	db, ok := c.System().Lookup(store.ServiceName)
	if !ok {
		then(store.Doc{}, errNoAccounts)
		return
	}
	c.Ask(db, store.Load{Kind: bookKind, ID: id, Fresh: true}, func(v any, err error) {
		doc, _ := v.(store.Doc)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		then(doc, err)
	})
}

// adopt makes a shard what the database has, but for what is not written yet, and puts out whom another node has banned.
func (b *book) adopt(c *actor.Context, sh *shard, doc store.Doc) error {
	var page page
	if len(doc.Body) > 0 {
		if err := bson.Unmarshal(doc.Body, &page); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	there := make(map[string]struct{}, len(page.Players))
	for i := range page.Players {
		e := &page.Players[i]
		there[e.UID] = struct{}{}
		if _, ours := sh.dirty[e.UID]; ours {
			continue
		}
		old, now := sh.players[e.UID], e.standing()
		sh.players[e.UID] = now
		if now.ban != nil && (old == nil || old.ban == nil) && sh.read && !now.ban.over(b.cfg.Now()) {
			b.out(c, now.ban.out(e.UID))
		}
	}
	maps.DeleteFunc(sh.players, func(uid string, _ *standing) bool {
		_, ours := sh.dirty[uid]
		_, stays := there[uid]
		return !ours && !stays
	})
	b.count()
	return nil
}

func (b *book) count() {
	b.n = 0
	for i := range b.shards {
		b.n += len(b.shards[i].players)
	}
	b.cfg.Metrics.standings.Set(float64(b.n))
}

// of finds a player, nil if there is nothing about it.
func (b *book) of(uid string) *standing { return b.shards[shardOf(uid)].players[uid] }

// ban is the one that holds now, or nil.
func (b *book) ban(uid string, now time.Time) *ban {
	if st := b.of(uid); st != nil && st.ban != nil && !st.ban.over(now) {
		return st.ban
	}
	return nil
}

// revoked tells whether a token was taken back.
func (b *book) revoked(t token) bool {
	st := b.of(t.UID)
	return st != nil && st.revokes(t)
}

// fresh is the time of issue of a new token: behind the last revocation of all tokens, even if that was in the same millisecond.
func (b *book) fresh(uid string, now time.Time) time.Time {
	if st := b.of(uid); st != nil && now.UnixMilli() <= st.before {
		return time.UnixMilli(st.before + 1)
	}
	return now
}

// change edits what is known of a player, which holds at once; done is told when it is durable, or why it may not be yet.
func (b *book) change(c *actor.Context, uid string, edit func(*standing), done func(error)) {
	i := shardOf(uid)
	sh := &b.shards[i]
	st := sh.players[uid]
	if st == nil {
		if b.n >= b.cfg.MaxStandings {
			done(&actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d players have bans or revoked tokens already", b.n)})
			return
		}
		st = &standing{}
		sh.players[uid] = st
		b.n++
		b.cfg.Metrics.standings.Set(float64(b.n))
	}
	edit(st)
	sh.dirty[uid] = struct{}{}
	sh.waiting = append(sh.waiting, done)
	b.write(c, i)
}

// write brings a shard's changes to the database, all that there are at a time, in three steps: claim, commit, release.
func (b *book) write(c *actor.Context, i int) {
	sh := &b.shards[i]
	db, ok := c.System().Lookup(store.ServiceName)
	if sh.busy || len(sh.dirty) == 0 {
		return
	}
	sh.busy = true
	if !ok {
		b.written(c, i, sh.waitingNow(), errNoAccounts)
		return
	}
	name := store.Claim{Kind: bookKind, ID: shardID(i), IfLost: store.TellOnly}
	c.Detached(func() {
		c.Ask(db, name, func(v any, err error) {
			var body bson.Raw
			if err == nil {
				doc, _ := v.(store.Doc)
				body, err = b.merge(c, sh, doc)
			}
			if err != nil {
				c.Send(db, store.Release{Kind: name.Kind, ID: name.ID})
				b.written(c, i, sh.waitingNow(), err)
				return
			}
			// What changes from here on is in the next write.
			now, waiting := sh.dirty, sh.waitingNow()
			sh.dirty = map[string]struct{}{}
			c.Ask(db, store.Commit{Kind: name.Kind, ID: name.ID, Body: body}, func(_ any, err error) {
				c.Send(db, store.Release{Kind: name.Kind, ID: name.ID})
				if err != nil {
					maps.Copy(sh.dirty, now)
				}
				b.written(c, i, waiting, err)
			})
		})
	})
}

func (sh *shard) waitingNow() []func(error) {
	all := sh.waiting
	sh.waiting = nil
	return all
}

// written ends a write, and begins the next if there is one.
func (b *book) written(c *actor.Context, i int, waiting []func(error), err error) {
	sh := &b.shards[i]
	sh.busy = false
	for _, w := range waiting {
		w(err)
	}
	if err == nil {
		b.write(c, i)
		return
	}
	c.Log().Error("bans and revoked tokens can't be written: they hold on this node, and are tried again", "document", bookKind+"/"+shardID(i), "error", err)
	c.Detached(func() { c.After(b.cfg.Retry+rand.N(b.cfg.Retry), func() { b.write(c, i) }) })
}

// merge is the new content of a shard: what the database has, with the changes of this node, without what is over.
func (b *book) merge(c *actor.Context, sh *shard, doc store.Doc) (bson.Raw, error) {
	if err := b.adopt(c, sh, doc); err != nil {
		return nil, err
	}
	b.tidy(sh)
	var page page
	for uid, st := range sh.players {
		page.Players = append(page.Players, st.entry(uid))
	}
	body, err := bson.Marshal(page)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return body, nil
}

// tidy forgets what is over. Its shard is written without it at the next change.
func (b *book) tidy(sh *shard) {
	now := b.cfg.Now()
	maps.DeleteFunc(sh.players, func(_ string, st *standing) bool { return st.over(now) })
	b.count()
}
