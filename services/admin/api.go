package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
)

const (
	apiPrefix = "/api/v1"
	// maxBody bounds what a request may bring.
	maxBody = 64 << 10
	// MaxPage is how many of anything are listed at once; defaultPage how many are if nobody asks for more.
	MaxPage     = 1000
	defaultPage = 100
)

// API is what operators see of a node, and do to it, as JSON. Parts that are nil are not served. All of it is called from many goroutines and must not block for
// longer than its context.
type API struct {
	// System has the actors; it is always set.
	System *actor.System
	// Nodes are those of the cluster.
	Nodes func() []Node
	// Sessions are the node's.
	Sessions Sessions
	// Store tells how far it is with writing.
	Store func() (Store, error)
	// Settings are the configuration, with secrets hidden.
	Settings func() []Setting
	// Dead keeps the last messages that could not be delivered.
	Dead *DeadLetters
	// Reload changes the version of the scripts.
	Reload Reloads
	// Peers are asked for what other nodes have.
	Peers Peers
	// Log has the last lines of the node's log.
	Log *LogTail
	// Directory tells who is known by which name.
	Directory Directory
	// Tracing is what operators choose to be traced, beside Sample of all.
	Tracing Tracing
	Sample  float64
	// Levels are those of the log.
	Levels Levels
	// Scripts are where their handlers can be seen, ended and watched.
	Scripts Scripts
}

// CallError is the answer to what failed.
type CallError struct {
	Code    string `json:"code" enum:"bad_request,no_role,not_found,conflict,busy,failed" doc:"Why, for programs."`
	Message string `json:"error" doc:"Why, for people."`
}

func (f *CallError) Error() string { return f.Message }

// callError is err as it is answered.
func callError(err error) *CallError {
	var known *CallError
	if !errors.As(err, &known) {
		known = &CallError{Code: codeFailed, Message: err.Error()}
	}
	return known
}

// The codes of a CallError, each with its status.
const (
	codeBad      = "bad_request"
	codeRole     = "no_role"
	codeNotFound = "not_found"
	codeConflict = "conflict"
	codeBusy     = "busy"
	codeFailed   = "failed"
)

func failure(code, format string, args ...any) error {
	return &CallError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (f *CallError) status() int {
	switch f.Code {
	case codeBad:
		return http.StatusBadRequest
	case codeRole:
		return http.StatusForbidden
	case codeNotFound:
		return http.StatusNotFound
	case codeConflict:
		return http.StatusConflict
	case codeBusy:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// param is a value in a path or a query.
type param struct {
	name, doc string
	kind      string // string or integer
	options   []string
	most      int // of an integer
	def       int
}

// route is an operation. The table of them is what is served and what the OpenAPI document says.
type route struct {
	method, path string
	id, summary  string
	role         Role
	path1        *param // in the path
	query        []param
	body         any // a zero value of what is expected; nil for nothing
	answer       any // a zero value of what is answered
	// here is set for what is not asked of other nodes: what is the same on each, or takes longer than a node waits for another.
	here  bool
	serve func(q *query) (any, error)
}

// query is one request.
type query struct {
	r      *http.Request
	who    Identity
	path1  string
	text   map[string]string
	number map[string]int
	body   any // a pointer to a value of the route's kind
	// detail is more of what is done, for the audit log, and outcome what comes of it if that is not Done. What is audited already is not again.
	detail, outcome string
	audited         bool
}

// routes are what is served of what there is.
func (s *Server) routes() []route {
	all := slices.Concat(s.actorRoutes(), s.touchRoutes(), s.tailRoutes(), s.sessionRoutes(), s.nodeRoutes(), s.directoryRoutes(), s.reloadRoutes())
	all = append(all, slices.Concat(s.traceRoutes(), s.levelRoutes(), s.guardRoutes())...)
	all = append(all, route{
		method: http.MethodGet, path: "/openapi.json", id: "openapi", role: View, summary: "This document", answer: map[string]any{}, here: true,
		serve: func(*query) (any, error) { return s.document(), nil },
	})
	if s.API.Peers != nil {
		for i := range all {
			if rt := &all[i]; !rt.here {
				rt.query = append(slices.Clone(rt.query), nodeParam())
			}
		}
	}
	return all
}

// handle serves a route.
func (s *Server) handle(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.answer(w, r, &rt)
		status := http.StatusOK
		if err != nil {
			known := callError(err)
			status, answer = known.status(), known
		}
		text, err := json.Marshal(answer)
		if err != nil {
			plain(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(append(text, '\n'))
	}
}

// answer checks a request against its route, and does what it asks for, or has another node do it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, rt *route) (any, error) {
	who := whoAsks(r.Context())
	if who.Role < rt.role {
		s.deny(r, who, "role")
		return nil, &CallError{Code: codeRole, Message: lacksRole(who, rt.role).Error()}
	}
	q, err := rt.read(w, r)
	if err != nil {
		return nil, err
	}
	q.who = who
	if node := q.text["node"]; node != "" && node != s.Version.Node {
		return s.elsewhere(r.Context(), rt, q, node)
	}
	return s.perform(rt, q)
}

// perform does what a request asks for, and audits it if it is a change.
func (s *Server) perform(rt *route, q *query) (any, error) {
	answer, err := rt.serve(q)
	if rt.method == http.MethodGet || q.audited {
		return answer, err
	}
	e := Entry{
		Node: s.Version.Node, Who: q.who.Name, Role: q.who.Role.String(), From: q.r.RemoteAddr, Action: rt.id, Target: clip(q.path1), Detail: clip(q.detail), Outcome: cmp.Or(q.outcome, Done),
	}
	if err != nil {
		e.Outcome, e.Error = Failed, clip(err.Error())
	}
	s.record(e)
	return answer, err
}

// read takes a request apart. What nobody expects is refused: a misspelt filter would else show everything.
func (rt *route) read(w http.ResponseWriter, r *http.Request) (*query, error) {
	q := &query{r: r, text: map[string]string{}, number: map[string]int{}}
	if rt.path1 != nil {
		q.path1 = r.PathValue(rt.path1.name)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, failure(codeBad, "the query: %v", err)
	}
	for i := range rt.query {
		p := &rt.query[i]
		if p.kind == "integer" {
			q.number[p.name] = p.def
		}
	}
	for name, given := range values {
		i := slices.IndexFunc(rt.query, func(p param) bool { return p.name == name })
		if i < 0 || len(given) != 1 {
			return nil, failure(codeBad, "the query: found %q %d times, expected once at most any of %s", clip(name), len(given), rt.names())
		}
		if err := q.take(&rt.query[i], given[0]); err != nil {
			return nil, err
		}
	}
	if rt.body == nil {
		return q, nil
	}
	if err := q.readBody(w, rt.body); err != nil {
		return nil, err
	}
	return q, nil
}

func (rt *route) names() string {
	names := make([]string, len(rt.query))
	for i := range rt.query {
		names[i] = rt.query[i].name
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

func (q *query) take(p *param, text string) error {
	switch {
	case p.kind == "integer":
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > p.most {
			return failure(codeBad, "%s: found %q, expected 1 to %d", p.name, clip(text), p.most)
		}
		q.number[p.name] = n
	case len(p.options) > 0 && !slices.Contains(p.options, text):
		return failure(codeBad, "%s: found %q, expected one of %s", p.name, clip(text), strings.Join(p.options, ", "))
	default:
		q.text[p.name] = text
	}
	return nil
}

// readBody reads one object of JSON. An empty body is an empty object.
func (q *query) readBody(w http.ResponseWriter, like any) error {
	q.body = reflect.New(reflect.TypeOf(like)).Interface()
	// A type that forms can't have: no web page sends it without being asked.
	if kind, _, err := mime.ParseMediaType(q.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return failure(codeBad, "the body: expected Content-Type: application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, q.r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(q.body); err != nil && !errors.Is(err, io.EOF) {
		return failure(codeBad, "the body: expected one object of JSON: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return failure(codeBad, "the body: expected one object of JSON, and nothing behind it")
	}
	return nil
}

// The parameters of lists.
func pageParams() []param {
	return []param{
		{name: "limit", kind: "integer", most: MaxPage, def: defaultPage, doc: "How many to list."},
		{name: "cursor", kind: "string", doc: "Where to go on: next of the page before."},
	}
}

// Paged is what lists have beside what they list.
type Paged struct {
	Total int    `json:"total" doc:"How many match, on all pages."`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; none on the last."`
}

// Setting is a key of the configuration.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value" doc:"As text; [secret] for one that is not shown."`
	Source string `json:"source" enum:"default,environment,file or flag" doc:"Where the value comes from."`
}

// Node is a member of the cluster as the node that is asked knows it.
type Node struct {
	Name        string    `json:"name"`
	Incarnation uint64    `json:"incarnation"`
	State       string    `json:"state"`
	Draining    bool      `json:"draining"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Actors      int64     `json:"actors"`
	Sessions    int64     `json:"sessions"`
	Grains      int64     `json:"grains"`
	CPU         float64   `json:"cpu" doc:"Share of what the process may have, 0 to 1."`
	Memory      float64   `json:"memory" doc:"Share of what the process may have, 0 to 1."`
}

// Store is how far the store is with writing.
type Store struct {
	Pending      int     `json:"pending" doc:"Documents with changes that are not written yet."`
	PendingBytes int     `json:"pending_bytes"`
	LagSeconds   float64 `json:"lag_seconds" doc:"How late the write is that was due first; 0 if none is late."`
	Down         bool    `json:"down" doc:"Whether the database can't be reached."`
	Retries      int     `json:"retries" doc:"Writes that failed because the database was away, since the start."`
	Refused      int     `json:"refused" doc:"Writes that the database has refused for good, since the start."`
	Writes       int     `json:"writes" doc:"Documents written, since the start."`
	Quarantined  int     `json:"quarantined" doc:"Contents that were set aside, since the start."`
	BatchSeconds float64 `json:"batch_seconds" doc:"Mean time of a batch of writes, since the start."`
}

// AuditPage is entries of the audit log, the newest first.
type AuditPage struct {
	Entries []Entry `json:"entries"`
}

// nodeRoutes are about the node as a whole.
func (s *Server) nodeRoutes() []route {
	a, all := s.API, []route{}
	if a.Nodes != nil {
		all = append(all, route{
			method: http.MethodGet, path: "/nodes", id: "nodes", role: View, summary: "The nodes of the cluster", answer: []Node{},
			serve: func(*query) (any, error) { return a.Nodes(), nil },
		})
	}
	if a.Store != nil {
		all = append(all, route{
			method: http.MethodGet, path: "/store", id: "store", role: View, summary: "How far the store is with writing", answer: Store{},
			serve: func(*query) (any, error) { return a.Store() },
		})
	}
	if a.Settings != nil {
		all = append(all, route{
			method: http.MethodGet, path: "/config", id: "config", role: View, summary: "The configuration, without its secrets", answer: []Setting{},
			serve: func(*query) (any, error) { return a.Settings(), nil },
		})
	}
	if a.Dead != nil {
		all = append(all, route{
			method: http.MethodGet, path: "/dead", id: "dead", role: View, summary: "The last messages that could not be delivered, the newest first", answer: DeadPage{},
			query: pageParams()[:1],
			serve: func(q *query) (any, error) { return a.Dead.page(q.number["limit"], a.System.Stats().DeadLetters), nil },
		})
	}
	if s.Audit != nil {
		all = append(all, s.auditRoute())
	}
	return all
}

func (s *Server) auditRoute() route {
	return route{
		method: http.MethodGet, path: "/audit", id: "audit", role: Operate, summary: "What was changed by whom, and what was refused; the newest first", answer: AuditPage{},
		query: []param{
			pageParams()[0],
			{name: "before", kind: "string", doc: "Only entries before this time, as in RFC 3339."},
			{name: "log", kind: "string", options: []string{"changes", "strangers"}, doc: "Changes and too small roles (the default), or requests without a good token."},
		},
		serve: func(q *query) (any, error) {
			var before time.Time
			if text := q.text["before"]; text != "" {
				var err error
				if before, err = time.Parse(time.RFC3339, text); err != nil {
					return nil, failure(codeBad, "before: found %q, expected a time such as 2027-01-31T12:00:00Z", clip(text))
				}
			}
			log := s.Audit
			if q.text["log"] == "strangers" {
				log = s.Refusals
			}
			if log == nil {
				return AuditPage{Entries: []Entry{}}, nil
			}
			found, err := log.List(before, q.number["limit"])
			return AuditPage{Entries: found}, err
		},
	}
}
