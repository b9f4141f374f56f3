package room

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
	"github.com/skua-go/skua/net/rtc"
)

// Cluster is what rooms stand on that viewers and publishers of several nodes are in.
type Cluster struct {
	Names *names.Names
	// Node is the name of this one.
	Node string
	// Addr is where other nodes reach its links.
	Addr string
	// Link bounds them.
	Link relay.Config
	// Log gets why links fail; nil drops it.
	Log *slog.Logger
}

// What a room's actor away from home, in a node that only has viewers or publishers of it, and the one at home tell each other. A member is known by the number that it has away.
type (
	// enter asks for somebody to be let in, by the rules at home: answered by entered, or why not. Back: it is in already, and has lost its room's home.
	enter struct {
		Local                      uint64
		Action                     Action
		Who, Protocol, Addr, Agent string
		Query                      string
		Back                       bool
	}
	entered struct {
		ID    uint64 // at home
		Addr  string // of home's links
		Push  string // a publisher's ticket
		Muted []media.Kind
	}
	// attach asks for the room's stream: answered by attached.
	attach   struct{}
	attached struct {
		Addr, Ticket string
		Stream       uint64 // which one of the room's it is
		New          bool   // nobody is known there who is on the node that has asked
		Stage        string // who publishes
	}
	// parted tells home that somebody has left.
	parted struct {
		Local uint64
		Why   reason
	}
	// present tells a home that is turned to who is there: whoever it knows besides has left meanwhile.
	present struct{ Local []uint64 }
	// dismissed has somebody put out.
	dismissed struct {
		Local uint64
		Why   reason
	}
	// staged tells who publishes now.
	staged struct{ Who string }
	// moved tells that the room has another home now.
	moved struct{}
	// tally is what viewers have had.
	tally struct {
		Local  []uint64
		Counts []media.ViewerCounts
	}
	// aired is what members by WebRTC are told, all or those of one name.
	aired struct {
		Whom string
		Text string
	}
	// uttered is what a member by WebRTC has said away.
	uttered struct {
		Local     uint64
		Who, Text string
	}
	// heard is who speaks away.
	heard struct{ Speakers []rtc.Speaker }
)

// errElsewhere: the room has another home.
var errElsewhere = errors.New("room: it is on another node")

// sentinels are the errors that other nodes tell apart, by names that logs and metrics have, too.
func sentinels() []struct {
	err  error
	name string
} {
	return []struct {
		err  error
		name string
	}{
		{ErrName, "name"},
		{ErrSignature, "signature"},
		{ErrDenied, "denied"},
		{ErrRules, "rules"},
		{ErrOffline, "offline"},
		{ErrCrowded, "rooms"},
		{media.ErrBusy, "busy"},
		{media.ErrFull, "full"},
		{ErrKicked, "kicked"},
		{ErrReplaced, "replaced"},
		{errElsewhere, "elsewhere"},
		{media.ErrClosed, "closed"},
		{media.ErrSlow, "slow"},
	}
}

// reasonOf names why somebody was not let in, in one of few words.
func reasonOf(err error) string {
	for _, s := range sentinels() {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	return "other"
}

// reason is an error on its way to another node.
type reason struct{ Kind, Text string }

func reasonFor(err error) reason {
	if err == nil {
		return reason{}
	}
	return reason{reasonOf(err), err.Error()}
}

// err is the error again: it says the same, and is of the same kind.
func (r reason) err() error {
	if r == (reason{}) {
		return nil
	}
	for _, s := range sentinels() {
		if s.name == r.Kind {
			return &foreign{r.Text, s.err}
		}
	}
	return errors.New(r.Text)
}

// foreign is an error of another node.
type foreign struct {
	text string
	kind error
}

func (f *foreign) Error() string { return f.text }

func (f *foreign) Unwrap() error { return f.kind }

// refused is how enter is answered with why not.
type refused struct{ Why reason }

// WireTypes adds the messages of rooms to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.AddSentinel(t, "room.elsewhere", errElsewhere)
	wire.Register[enter](t, "room.enter")
	wire.Register[entered](t, "room.entered")
	wire.Register[refused](t, "room.refused")
	wire.Register[attach](t, "room.attach")
	wire.Register[attached](t, "room.attached")
	wire.Register[parted](t, "room.parted")
	wire.Register[present](t, "room.present")
	wire.Register[dismissed](t, "room.dismissed")
	wire.Register[staged](t, "room.staged")
	wire.Register[moved](t, "room.moved")
	wire.Register[tally](t, "room.tally")
	wire.Register[aired](t, "room.aired")
	wire.Register[uttered](t, "room.uttered")
	wire.Register[heard](t, "room.heard")
}

// namePrefix is in front of a room's name where all nodes find it.
const namePrefix = "room/"

// claim is what a room's home tells of it beside its name, so that two homes come to the same view of which is the one.
type claim struct {
	made int64 // Unix nanoseconds, of the room
	live int64 // since when somebody publishes, 0: nobody does
	who  string
	node string
}

func (c claim) text() string {
	return strconv.FormatInt(c.made, 36) + " " + strconv.FormatInt(c.live, 36) + " " + c.who
}

func readClaim(text, node string) claim {
	parts := strings.SplitN(text, " ", 3)
	c := claim{node: node}
	if len(parts) == 3 {
		c.made, _ = strconv.ParseInt(parts[0], 36, 64)
		c.live, _ = strconv.ParseInt(parts[1], 36, 64)
		c.who = parts[2]
	}
	return c
}

// before tells which of two homes of a room stays: one where somebody publishes, of these the one that began first, but the last when both are the same publisher, who has come back; else the older one.
func (c claim) before(o claim) bool {
	switch {
	case (c.live > 0) != (o.live > 0):
		return c.live > 0
	case c.live != o.live:
		return (c.live < o.live) != (c.who != "" && c.who == o.who)
	case c.made != o.made:
		return c.made < o.made
	default:
		return c.node < o.node
	}
}

// elsewhere is the home of a room on another node, the one that stays if there are several.
func (k *Cluster) elsewhere(name string) (ref actor.Ref, found claim, ok bool) {
	if k == nil {
		return ref, found, false
	}
	for _, in := range k.Names.Query(namePrefix + name) {
		if !in.Ref.IsRemote() {
			continue
		}
		if c := readClaim(in.Meta, in.Node); !ok || c.before(found) {
			ref, found, ok = in.Ref, c, true
		}
	}
	return ref, found, ok
}
