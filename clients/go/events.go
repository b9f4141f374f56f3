package client

import (
	"fmt"
	"time"
)

// EventKind is what happened to a session.
type EventKind int

// The kinds of events.
const (
	// Away: the connection is lost (Err says why) and the client tries to come back. Requests wait, and new ones are accepted.
	Away EventKind = iota + 1
	// Resumed: the session goes on over a new connection, to URL, after Away. Nothing was lost and nothing comes twice.
	Resumed
	// Lost: the session is over (Err says why). Requests that waited have failed with ErrSessionLost, and whatever they asked for may or may not have been done.
	// A new session follows where the client can log in again, see Options.Login, else the end.
	Lost
	// LoggedIn: a new session has followed a lost one, to URL, and the same player is in again, by Options.Login or by the token of the login before.
	LoggedIn
	// Kicked: the server ended the session and said why (Err is a *KickError). The client has ended, unless Lost and LoggedIn follow.
	Kicked
)

// String names the kind.
func (k EventKind) String() string {
	names := [...]string{Away: "away", Resumed: "resumed", Lost: "lost", LoggedIn: "logged in", Kicked: "kicked"}
	if k > 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("unknown event %d", int(k))
}

// Event is something that happened to a session.
type Event struct {
	Kind EventKind
	Err  error         // of Away, Lost, Kicked: why
	URL  string        // of the connection: the one that was lost, or the new one
	Away time.Duration // of Resumed and LoggedIn: since the last connection was lost
}
