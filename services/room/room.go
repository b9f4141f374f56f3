// Package room is the live media rooms of a node: who publishes, who watches, and the rules.
//
// A room is an actor: whoever comes in or is put out, and what a script says of it, goes through its mailbox, one after the other. The media itself goes around it, through the
// room's media.Stream, which a publisher that comes back within a window finds as it was, with its viewers.
//
// Who may do what is decided in this order: the name of the room must be one, the URL must be signed where that is asked for, and then the project's script of rules is asked, if
// there is one. A script that does not answer lets nobody in.
package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/record"
	"github.com/skua-go/skua/net/rtc"
)

// ServiceName is the name under which a node's rooms are found. A room itself is that, a slash, its name, a dot and a number.
const ServiceName = "rooms"

// Why somebody is not let in, or put out. They come wrapped with what concerned.
var (
	// ErrName: that is no name of a room.
	ErrName = errors.New("room: bad name")
	// ErrSignature: the URL is not signed, by somebody else, for something else, or it has expired.
	ErrSignature = errors.New("room: not allowed")
	// ErrDenied: the script of rules has said no.
	ErrDenied = errors.New("room: denied")
	// ErrRules: the script of rules has not decided.
	ErrRules = errors.New("room: nobody can decide this now")
	// ErrOffline: nobody publishes in the room.
	ErrOffline = errors.New("room: nobody publishes")
	// ErrKicked: a script, or an operator, has put somebody out.
	ErrKicked = errors.New("room: put out")
	// ErrReplaced: the same publisher has come again.
	ErrReplaced = errors.New("room: replaced by a newer connection")
	// ErrCrowded: there are as many rooms as there may be.
	ErrCrowded = errors.New("room: too many rooms")
)

// Action is what somebody wants of a room.
type Action string

// The actions.
const (
	Publish Action = "publish"
	Play    Action = "play"
)

// MaxName bounds the name of a room, and that of who comes.
const MaxName = 64

// CheckName returns an ErrName unless a room may be called so: names stand in URLs, in files and in metrics.
func CheckName(name string) error {
	if !media.ValidName(name) {
		return fmt.Errorf("%w %q: expected %s", ErrName, name[:min(len(name), MaxName)], media.NameForm)
	}
	return nil
}

// Entry is somebody who comes.
type Entry struct {
	Room     string
	Protocol string // rtmp, flv, ...
	Addr     string
	Agent    string // what it calls itself
	// Query is that of its URL: a signature is in it, and what the script may want to know.
	Query url.Values
	// Player is who it is, if the game has let it in already. Who has no signature is this, and needs none where a script decides.
	Player string
}

// Config is what rooms are told. The zero value lets everybody in.
type Config struct {
	// Rules is the script that is asked; empty: none. Its service is a unique one of the project.
	Rules string
	// RulesTimeout is how long it may take to decide. Default 5 s.
	RulesTimeout time.Duration
	// Keys sign URLs: the first signs, all are good. With any, who comes has to have a signed URL.
	Keys [][]byte
	// Reconnect is how long viewers wait for a publisher that has gone. Default 15 s.
	Reconnect time.Duration
	// MaxRooms is how many rooms there may be. Default 1,000.
	MaxRooms int
	// StatsEvery is how often the script gets on_stats. Default 10 s.
	StatsEvery time.Duration
	// Stream bounds each room's stream.
	Stream media.Config
	// Convert has sound made for viewers that can't play what is published in a room: media.Config.Convert. nil: nothing is transcoded.
	Convert func(room string, s *media.Stream)
	// Lag and Patience are those of media.ViewerConfig, for who sets none.
	Lag, Patience time.Duration
	// Recorder writes rooms to files; nil: none are.
	Recorder *record.Recorder
	// Remotes is how scripts have rooms go to other servers, and come from there; nil: they can't.
	Remotes *Remotes
	// Cluster has rooms be the same on several nodes; nil: each node has its own.
	Cluster *Cluster
	// Metrics counts; nil is fine.
	Metrics *Metrics
	// Now is the wall clock, for signatures. Default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	for v, d := range map[*time.Duration]time.Duration{&c.RulesTimeout: 5 * time.Second, &c.Reconnect: 15 * time.Second, &c.StatsEvery: 10 * time.Second} {
		if *v <= 0 {
			*v = d
		}
	}
	if c.MaxRooms <= 0 {
		c.MaxRooms = 1000
	}
	if c.Stream.MaxViewers <= 0 {
		c.Stream.MaxViewers = 10_000
	}
	if c.Cluster != nil && c.Cluster.Log == nil {
		with := *c.Cluster
		with.Log = slog.New(slog.DiscardHandler)
		c.Cluster = &with
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// stream is how a room's stream is made.
func (c *Config) stream(name string) media.Config {
	made := c.Stream
	if c.Convert != nil {
		made.Convert = func(s *media.Stream) { c.Convert(name, s) }
	}
	return made
}

// Rooms is how protocols reach a node's rooms. Its methods may be called by anybody.
type Rooms struct {
	sys    *actor.System
	cfg    Config
	webrtc atomic.Pointer[rtc.Server] // nil without WebRTC

	life  context.Context //nolint:containedctx // of what rooms do beside their actors, which begins in many of their methods
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// New makes the rooms of a system; its Spec has to be spawned there.
func New(sys *actor.System, cfg Config) *Rooms {
	r := &Rooms{sys: sys, cfg: cfg.withDefaults()}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Publish lets a publisher in, or says why not. ended is that of media.Stream.Publish.
func (r *Rooms) Publish(ctx context.Context, e Entry, ended func(reason error)) (*media.Publisher, error) {
	a := &admission{entry: e, action: Publish, ended: ended}
	if err := r.admit(ctx, a); err != nil {
		return nil, err
	}
	return a.publisher, nil
}

// Join lets a viewer in, or says why not.
func (r *Rooms) Join(ctx context.Context, e Entry, opt media.ViewerConfig) (*media.Viewer, error) {
	a := &admission{entry: e, action: Play, options: opt}
	if err := r.admit(ctx, a); err != nil {
		return nil, err
	}
	return a.viewer, nil
}

func (r *Rooms) admit(ctx context.Context, a *admission) (err error) {
	defer func() { r.cfg.Metrics.admitted(a, err) }()
	if err := CheckName(a.entry.Room); err != nil {
		return err
	}
	if a.who, err = r.cfg.verify(a.action, a.entry); err != nil {
		return err
	}
	service, ok := r.sys.Lookup(ServiceName)
	if !ok {
		return fmt.Errorf("%w: the node stops", ErrRules)
	}
	_, err = r.sys.Ask(ctx, service, a)
	if err != nil {
		a.abandon(err)
	}
	return err
}
