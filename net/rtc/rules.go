package rtc

import (
	"context"
	"errors"
	"net/netip"
)

// Direction is what a session is there for.
type Direction string

// What sessions do.
const (
	Publish Direction = "publish"
	Play    Direction = "play"
)

// Request is somebody who wants in.
type Request struct {
	Direction Direction
	Room      string     // from the path, of the form that media.ValidName tells
	Name      string     // who the client says it is (?who=), or nothing; the same form as Room
	Token     string     // of the header Authorization: Bearer, or else of ?token=
	Query     string     // raw, for signatures over the URL
	Remote    netip.Addr // of the HTTP request
	Agent     string     // what its client calls itself
	Audio     int        // lines of audio that are offered
	Video     int        // of video
}

// Permit is what somebody who comes in is given.
type Permit struct {
	// Who is the member's name in the room. Two publishers of a name are one who has come back: the newer one takes the place of the other. Default: Request.Name,
	// or # and something random where that is empty.
	Who string
	// Watch names the publishers that a viewer sees, and no others; empty: all of the room, but itself.
	Watch []string
	// MuteAudio and MuteVideo: what a publisher sends of it goes nowhere, until Server.Mute lets it.
	MuteAudio, MuteVideo bool
	// Notes are told to the client in headers Skua-Note of the answer: what it will not get, and why.
	Notes []string
	// Tag is the Rules' own; Session has it again.
	Tag any
}

// Session is somebody who is in.
type Session struct {
	ID        string
	Room, Who string
	Direction Direction
	Tag       any // of the Permit
}

// Rules are the room's: services hand them in. Methods are called from many goroutines, and hold up the one who comes in (Admit), or events of the room (the others): these
// must not block, and of the Server they may call Tell only.
type Rules interface {
	// Admit lets somebody in, or says why not: a *RefusalError is told to the client, any other error only to the log. ctx ends when the client gives up, or after 5 s.
	Admit(ctx context.Context, r Request) (Permit, error)
	// Joined tells of a session that got through to the node.
	Joined(s Session)
	// Left tells of the end of a session that was admitted, whether or not it had got through.
	Left(s Session, reason string)
	// Speaking tells who speaks now, the loudest first, whenever that changes.
	Speaking(room string, speakers []Speaker)
	// Message is what somebody says to the room on the data channel "room".
	Message(s Session, text []byte)
}

// Speaker is somebody who speaks.
type Speaker struct {
	Who string
	// Level is the loudness of the last fifth of a second, in dB below the loudest there is (RFC 6464): 0 to 127.
	Level int
}

// RefusalError is why somebody does not come in, in words for the client.
type RefusalError struct {
	// Status is the one of HTTP. Default 403.
	Status int
	Reason string
}

// Error is the reason.
func (r *RefusalError) Error() string { return "rtc: refused: " + r.Reason }

// Reasons for which the server itself ends a session.
const (
	ReasonLeft     = "left"
	ReasonSilent   = "connection lost"
	ReasonNever    = "never connected"
	ReasonChannels = "too many data channels"
	ReasonReplaced = "replaced by a newer session of the same name"
	ReasonStopping = "the node stops"
)

// Errors of the Server's methods.
var (
	ErrNoRoom   = errors.New("rtc: no such room")
	ErrNoMember = errors.New("rtc: no such member")
	ErrClosed   = errors.New("rtc: server closed")
)
