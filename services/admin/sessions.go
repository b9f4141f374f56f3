package admin

import (
	"net/http"
	"strconv"
	"time"
)

// Session is a client's place on the node.
type Session struct {
	ID        uint64     `json:"id"`
	Gate      string     `json:"gate,omitempty" doc:"Name of the table [gates.NAME]; none for the main gate."`
	UID       string     `json:"uid,omitempty" doc:"Who has logged in."`
	State     string     `json:"state" enum:"present,away,leaving" doc:"away waits for its client to come back."`
	Transport string     `json:"transport,omitempty" doc:"Listener of its connection; none while it is away."`
	Address   string     `json:"address,omitempty" doc:"Of its client."`
	Since     *time.Time `json:"since,omitempty" doc:"When its connection was accepted."`
	Backlog   int        `json:"backlog" doc:"Bytes that wait to be written."`
	Unacked   int        `json:"unacked" doc:"Data packages that its client has not acknowledged."`
	BytesIn   uint64     `json:"bytes_in" doc:"Of its connection."`
	BytesOut  uint64     `json:"bytes_out" doc:"Of its connection."`
	RTT       int64      `json:"rtt_us,omitempty" doc:"Round-trip time to its client, smoothed, in microseconds; none where it is not known, as over WebSockets behind TLS."`
	Sent      uint64     `json:"segments_out,omitempty" doc:"Segments sent to its client, repeated ones included, where RTT is known."`
	Resent    uint64     `json:"segments_resent,omitempty" doc:"Of them, those that were sent again."`
	Loss      float64    `json:"loss,omitempty" doc:"Their share, 0 to 1: what the way to the client loses, or nearly."`
}

// SessionPage is some of the sessions.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	Paged
}

// Sessions are those of the node. Methods are called by any goroutine.
type Sessions interface {
	// List gives up to limit of the sessions of a user, or of all if uid is empty, whose number is beyond after, by their numbers; and how many there are in all.
	List(uid string, after uint64, limit int) (list []Session, total int)
	// Kick ends a session with a reason that its client reads; false if there is none with that number.
	Kick(id uint64, code, reason string) bool
}

// kickCode is what the client of a session that an operator ends reads as code.
const kickCode = "kicked"

func (s *Server) sessionRoutes() []route {
	if s.API.Sessions == nil {
		return nil
	}
	return []route{
		{
			method: http.MethodGet, path: "/sessions", id: "sessions", role: View, summary: "The clients of the node", answer: SessionPage{},
			query: append(pageParams(), param{name: "uid", kind: "string", doc: "Only those of this user."}),
			serve: func(q *query) (any, error) {
				after, err := sessionNumber("cursor", q.text["cursor"])
				if err != nil && q.text["cursor"] != "" {
					return nil, err
				}
				list, total := s.API.Sessions.List(q.text["uid"], after, q.number["limit"]+1)
				list, p := paged(list, total, q.number["limit"], func(one *Session) string { return strconv.FormatUint(one.ID, 10) })
				return SessionPage{list, p}, nil
			},
		},
		{
			method: http.MethodPost, path: "/sessions/{id}/kick", id: "kick", role: Operate, summary: "End a session", path1: &param{name: "id", doc: "The session's number."},
			body: Reason{}, answer: Nothing{}, serve: s.kick,
		},
	}
}

func sessionNumber(what, text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, failure(codeBad, "%s: found %q, expected a session's number", what, clip(text))
	}
	return id, nil
}

func (s *Server) kick(q *query) (any, error) {
	id, err := sessionNumber("id", q.path1)
	if err != nil {
		return nil, err
	}
	q.detail = clip(q.body.(*Reason).Reason) //nolint:forcetypeassert // what the route says
	if !s.API.Sessions.Kick(id, kickCode, q.detail) {
		return nil, failure(codeNotFound, "there is no session %d on this node", id)
	}
	return Nothing{}, nil
}
