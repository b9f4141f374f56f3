package room

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/media"
)

var (
	// ErrRemote tells that a script's URL is none that a room can be forwarded to, or pulled from. It comes wrapped with why.
	ErrRemote = errors.New("room: not forwarded or pulled")
	// ErrReach tells that the operator does not let scripts reach that host. What a Remotes function returns with it is not tried again.
	ErrReach = errors.New("room: a host that scripts may not reach")
)

// Remotes is how a script may have a room go to another server, or come from one: by the scheme of a URL. A function blocks until its stream, the server or ctx ends.
type Remotes struct {
	// Push brings what a viewer gets to a server. began is called when frames go.
	Push map[string]func(ctx context.Context, to *url.URL, v *media.Viewer, began func()) error
	// Pull fetches a stream for the publisher that begin gives, once there is one.
	Pull map[string]func(ctx context.Context, from *url.URL, begin func() (*media.Publisher, error)) error
	// Sound is what servers by a scheme of Push are to get, as media.ViewerConfig.Sound has it: nil is all as it comes. Default for schemes that are not there: AAC and MP3.
	Sound map[string][]media.Codec
	// Max is how many a room may have at a time. Default 8.
	Max int
	// Pause is before the second attempt; it doubles up to MaxPause. Default 1 s and 30 s.
	Pause, MaxPause time.Duration
}

func (o *Remotes) max() int {
	if o == nil || o.Max <= 0 {
		return 8
	}
	return o.Max
}

func (o *Remotes) pauses() (first, most time.Duration) {
	first, most = o.Pause, o.MaxPause
	if first <= 0 {
		first = time.Second
	}
	if most <= 0 {
		most = 30 * time.Second
	}
	return first, most
}

// What a remote is, and how it does.
const (
	kindForward = "forward"
	kindPull    = "pull"
	stateDown   = "down" // it is being tried, or will be again
	stateUp     = "up"
	stateEnded  = "ended"
)

// remote is one server that the room goes to, or comes from.
type remote struct {
	id     uint64
	kind   string
	url    string // without what may be secret
	who    string // of a pull
	state  string
	since  time.Time
	tries  int
	reason string
	stop   context.CancelFunc
	hidden *strings.Replacer // of what servers say of it
	member *member           // of a pull that has got through
}

// pulled asks the room for the publisher of a pull that has got through.
type pulled struct{ remote *remote }

// change is how a remote does from now on.
type change struct {
	remote *remote
	state  string
	reason error
}

// remoteCommand takes those that a script gives: forward and pull with a URL, and the ends of both with what these gave.
func (r *room) remoteCommand(c *actor.Context, cmd string, args value.List) {
	switch cmd {
	case kindForward, kindPull:
		id, err := r.startRemote(cmd, args)
		if err != nil {
			c.Reply(nil, fmt.Errorf("%w: room %s: %s: %w", ErrRemote, r.name, cmd, err))
			r.rest(c)
			return
		}
		c.Reply(value.Of(int64(id)), nil)
	default:
		id, _ := args.At(0).Int()
		o := r.remotes[uint64(id)]
		if o != nil {
			r.endRemote(c, o, nil)
			r.rest(c)
		}
		c.Reply(value.Of(o != nil), nil)
	}
}

func (r *room) startRemote(kind string, args value.List) (id uint64, err error) {
	text, _ := args.At(0).Str()
	at, err := url.Parse(text)
	if err != nil || at.Host == "" {
		return 0, errors.New("a URL is expected, such as rtmp://HOST/APP/STREAM or rtsp://HOST/PATH") // which may have a secret, so it is not repeated
	}
	how := r.cfg.Remotes
	if how == nil {
		return 0, errors.New("this node has no way to other servers")
	}
	if len(r.remotes) >= how.max() {
		return 0, fmt.Errorf("there are %d already", len(r.remotes))
	}
	o := &remote{id: r.lastRemote + 1, kind: kind, url: shown(at), hidden: hide(at), state: stateDown, since: time.Now()}
	var work func(ctx context.Context, note func(string, error)) error
	if kind == kindForward {
		push := how.Push[at.Scheme]
		if push == nil {
			return 0, fmt.Errorf("scheme %q, expected %s", at.Scheme, schemes(how.Push))
		}
		sound, ok := how.Sound[at.Scheme]
		if !ok {
			sound = media.UsualSound()
		}
		stream := r.stream
		work = func(ctx context.Context, note func(string, error)) error {
			return forward(ctx, stream, media.ViewerConfig{Sound: sound}, at, push, note)
		}
	} else {
		pull := how.Pull[at.Scheme]
		if pull == nil {
			return 0, fmt.Errorf("scheme %q, expected %s", at.Scheme, schemes(how.Pull))
		}
		if o.who, err = pullOptions(args.At(1)); err != nil {
			return 0, err
		}
		begin := func(ctx context.Context) (*media.Publisher, error) { return r.publisherFor(ctx, o) }
		work = func(ctx context.Context, note func(string, error)) error {
			return fetchRemote(ctx, at, pull, begin, note)
		}
	}
	r.lastRemote++
	r.remotes[o.id] = o
	note := func(state string, reason error) { r.send(change{o, state, reason}) }
	first, most := how.pauses()
	o.stop = r.run(func(ctx context.Context) error {
		return persist(ctx, first, most, func() error { return work(ctx, note) }, note)
	}, func(c *actor.Context, err error) {
		if r.remotes[o.id] == o {
			r.endRemote(c, o, err)
			r.rest(c)
		}
	})
	return o.id, nil
}

// pullOptions reads what a script says beside the URL: who the publisher is.
func pullOptions(v value.Value) (who string, err error) {
	if v.IsNil() {
		return "", nil
	}
	if v.Kind() != value.Table {
		return "", fmt.Errorf("a %s, expected a table with who", v.Kind())
	}
	v.Pairs(func(key, found value.Value) bool {
		name, _ := key.Str()
		text, ok := found.Str()
		if name != "who" || !ok || len(text) > MaxName {
			err = fmt.Errorf("%s = %s, expected who with up to %d bytes", key, found, MaxName)
			return false
		}
		who = text
		return true
	})
	return who, err
}

func schemes[F any](of map[string]F) string {
	return strings.Join(slices.Sorted(maps.Keys(of)), ", ")
}

// shown is a URL without its user, query and last part, which are what is secret of those of streaming services.
func shown(at *url.URL) string {
	path := at.Path
	if i := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/'); i >= 0 {
		path = path[:i]
	}
	u := url.URL{Scheme: at.Scheme, Host: at.Host, Path: path}
	return u.String() + "/…"
}

// minSecret is how short a part of a URL may be that is left in what servers say: a key is longer, and a word of one letter stands in much.
const minSecret = 4

// hide takes out of a text what shown leaves out of a URL: servers repeat the name of a stream.
func hide(at *url.URL) *strings.Replacer {
	secrets := []string{at.RawQuery}
	for _, path := range []string{at.EscapedPath(), at.Path} {
		path = strings.TrimSuffix(path, "/")
		secrets = append(secrets, path[strings.LastIndexByte(path, '/')+1:])
	}
	for _, values := range at.Query() {
		secrets = append(secrets, values...)
	}
	if at.User != nil {
		password, _ := at.User.Password()
		secrets = append(secrets, at.User.Username(), password)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // where one is part of another the whole goes
	var pairs []string
	for _, s := range slices.Compact(secrets) {
		if len(s) >= minSecret {
			pairs = append(pairs, s, "…")
		}
	}
	return strings.NewReplacer(pairs...)
}

// because is why a remote does as it does, as scripts and logs may have it.
func (o *remote) because(err error) string {
	text := strings.ToValidUTF8(o.hidden.Replace(err.Error()), "?")
	for len(text) > maxReason {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	return text
}

// persist tries until what is tried can't succeed, or ctx ends. One that went for a while begins with short pauses again.
func persist(ctx context.Context, first, most time.Duration, try func() error, note func(state string, reason error)) error {
	for pause := first; ; pause = min(2*pause, most) {
		begun := time.Now()
		err := try()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrReach), errors.Is(err, ErrOffline), errors.Is(err, ErrKicked), errors.Is(err, ErrReplaced):
			return err
		}
		note(stateDown, err)
		if time.Since(begun) > most {
			pause = first
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// forward is one attempt. It ends with an ErrOffline when the room's stream does.
func forward(ctx context.Context, stream *media.Stream, cfg media.ViewerConfig, to *url.URL, push func(context.Context, *url.URL, *media.Viewer, func()) error, note func(string, error)) error {
	v, err := stream.Join(cfg)
	if err != nil {
		return err
	}
	defer v.Close(nil)
	return push(ctx, to, v, func() { note(stateUp, nil) })
}

// fetchRemote is one attempt to pull.
func fetchRemote(ctx context.Context, from *url.URL, pull func(context.Context, *url.URL, func() (*media.Publisher, error)) error, begin func(context.Context) (*media.Publisher, error), note func(string, error)) error {
	var p *media.Publisher
	err := pull(ctx, from, func() (_ *media.Publisher, err error) {
		if p, err = begin(ctx); err == nil {
			note(stateUp, nil)
		}
		return p, err
	})
	if p == nil {
		return err
	}
	if ended := p.Err(); ended != nil {
		err = ended
	}
	p.Close()
	return err
}

// publisherFor asks the room for a pull's publisher. It blocks.
func (r *room) publisherFor(ctx context.Context, o *remote) (*media.Publisher, error) {
	v, err := r.rooms.sys.Ask(ctx, r.self, pulled{o})
	p, _ := v.(*media.Publisher)
	return p, err
}

// pulls lets a pull publish, as who its script has said it is. The rules are not asked: they, or another script of the project, wanted it.
func (r *room) pulls(c *actor.Context, o *remote) {
	if r.remotes[o.id] != o {
		c.Reply(nil, fmt.Errorf("%w: the pull has been ended", ErrKicked))
		return
	}
	if m := o.member; m != nil && r.members[m.ID] == m { // whoever has asked for that has not heard the answer
		r.put(m, ErrReplaced)
		r.gone(c, left{m.ID, ErrReplaced})
	}
	r.last++
	a := &admission{entry: Entry{Room: r.name, Protocol: kindPull, Addr: o.url}, action: Publish, who: o.who, id: r.last}
	err := r.possible(a)
	if err == nil {
		var m *member
		if m, err = r.enter(c, a); err == nil {
			o.member = m
			c.Reply(m.publisher, nil)
			return
		}
	}
	c.Reply(nil, err)
}

// changed notes how a remote does, and tells the rules when that is another way.
func (r *room) changed(c *actor.Context, ch change) {
	o := ch.remote
	if r.remotes[o.id] != o {
		return
	}
	was := o.state
	o.state = ch.state
	if ch.state == stateUp {
		o.reason, o.since = "", time.Now()
	} else {
		o.tries++
		o.reason = "it has ended"
		if ch.reason != nil {
			o.reason = o.because(ch.reason)
		}
	}
	if was == ch.state && o.tries > 1 {
		return // another attempt that failed: info tells
	}
	if was == stateUp && ch.state == stateDown {
		o.since = time.Now()
	}
	c.Log().Info("remote", "room", r.name, "kind", o.kind, "id", o.id, "url", o.url, "state", o.state, "reason", o.reason)
	r.report(c, o)
}

// endRemote stops one; reason nil: a script wants it so.
func (r *room) endRemote(c *actor.Context, o *remote, reason error) {
	o.stop()
	delete(r.remotes, o.id)
	if m := o.member; m != nil && r.members[m.ID] == m {
		m.publisher.Close() // its attempt may end without having heard of it
	}
	o.state, o.since, o.reason = stateEnded, time.Now(), "stopped"
	if reason != nil {
		o.reason = o.because(reason)
	}
	c.Log().Info("remote", "room", r.name, "kind", o.kind, "id", o.id, "url", o.url, "state", o.state, "reason", o.reason)
	r.report(c, o)
}

// endRemotes stops all.
func (r *room) endRemotes(c *actor.Context, reason error) {
	for _, id := range slices.Sorted(maps.Keys(r.remotes)) {
		r.endRemote(c, r.remotes[id], reason)
	}
}

// endForwards stops those whose stream has ended.
func (r *room) endForwards(c *actor.Context) {
	for _, id := range slices.Sorted(maps.Keys(r.remotes)) {
		if o := r.remotes[id]; o.kind == kindForward {
			r.endRemote(c, o, fmt.Errorf("%w in %s any more", ErrOffline, r.name))
		}
	}
}

// pulling tells whether the room waits for another server's stream.
func (r *room) pulling() bool {
	for _, o := range r.remotes {
		if o.kind == kindPull {
			return true
		}
	}
	return false
}

// remoteNews is how a remote does. It goes to the service, since the room may end before the rules are told.
type remoteNews struct {
	room  string
	table map[string]any
}

func (r *room) report(c *actor.Context, o *remote) {
	if service, ok := c.System().Lookup(ServiceName); ok {
		c.Send(service, remoteNews{r.name, o.table()})
	}
}

// table is a remote as scripts see it.
func (o *remote) table() map[string]any {
	t := map[string]any{"id": int64(o.id), "kind": o.kind, "url": o.url, "state": o.state, "seconds": time.Since(o.since).Seconds(), "failures": o.tries}
	if o.reason != "" {
		t["reason"] = o.reason
	}
	return t
}

func (r *room) remoteTables() []any {
	all := make([]any, 0, len(r.remotes))
	for _, id := range slices.Sorted(maps.Keys(r.remotes)) {
		all = append(all, r.remotes[id].table())
	}
	return all
}
