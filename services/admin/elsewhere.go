package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is asked of other nodes.
const (
	// elsewhereTimeout is how long another node may take: more than one of its actors may, see askTimeout.
	elsewhereTimeout = 3 * time.Second
	// maxAsked is how many nodes are asked at once for node=*.
	maxAsked = 32
	// everyNode is the node of a request that is for all of them.
	everyNode = "*"
)

// Peers are the nodes of the cluster. Its methods are called from many goroutines.
type Peers interface {
	// Names are those of all nodes that should answer, this one's among them.
	Names() []string
	// Ask has another node answer a request, within ctx. An error says why it has not.
	Ask(ctx context.Context, node string, p *Passed) (*PassedAnswer, error)
}

// Passed is a request that one node passes on to another.
type Passed struct {
	Method string          `json:"method"`
	Path   string          `json:"path"` // escaped, behind /api/v1
	Query  string          `json:"query,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	// Who asks, with which role, and from where, as the node says that has let them in.
	Who  string `json:"who"`
	Role string `json:"role"`
	From string `json:"from"`
}

// PassedAnswer is what the other node answers: a status of HTTP and JSON.
type PassedAnswer struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// ByNode is what several nodes answer to one request.
type ByNode struct {
	Nodes []NodeAnswer `json:"nodes"`
}

// NodeAnswer is what one of them answers, or why it has not.
type NodeAnswer struct {
	Node   string          `json:"node"`
	Answer json.RawMessage `json:"answer,omitempty" doc:"As without node=*."`
	Error  *CallError      `json:"error,omitempty"`
}

func nodeParam() param {
	return param{name: "node", kind: "string", doc: "Name of the node that is asked; * for each of the cluster, which are answered by an object with nodes. Default this one."}
}

// elsewhere has another node, or all, answer. The request has been checked, and who asks may.
func (s *Server) elsewhere(ctx context.Context, rt *route, q *query, node string) (any, error) {
	p, err := rt.passed(q)
	if err != nil {
		return nil, err
	}
	names := s.API.Peers.Names()
	if node != everyNode {
		if !slices.Contains(names, node) {
			slices.Sort(names)
			return nil, failure(codeNotFound, "there is no node %q: found %s", clip(node), strings.Join(names[:min(len(names), maxAsked)], ", "))
		}
		return s.askNode(ctx, node, p)
	}
	slices.Sort(names)
	all := ByNode{Nodes: make([]NodeAnswer, len(names))}
	var asked sync.WaitGroup
	places := make(chan struct{}, maxAsked)
	ctx, cancel := context.WithTimeout(ctx, elsewhereTimeout)
	defer cancel()
	for i, name := range names {
		asked.Go(func() {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			case <-ctx.Done():
			}
			all.Nodes[i] = s.nodeAnswer(ctx, rt, q, name, p)
		})
	}
	asked.Wait()
	return all, nil
}

// nodeAnswer is that of one of all nodes, which may be this one.
func (s *Server) nodeAnswer(ctx context.Context, rt *route, q *query, name string, p *Passed) NodeAnswer {
	one := NodeAnswer{Node: name}
	var answer any
	var err error
	if name == s.Version.Node {
		own := *q
		own.r = q.r.WithContext(ctx)
		answer, err = s.perform(rt, &own)
	} else {
		answer, err = s.askNode(ctx, name, p)
	}
	if err == nil {
		one.Answer, err = json.Marshal(answer)
	}
	if err != nil {
		one.Error = callError(err)
	}
	return one
}

// askNode has another node answer.
func (s *Server) askNode(ctx context.Context, node string, p *Passed) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, elsewhereTimeout)
	defer cancel()
	a, err := s.API.Peers.Ask(ctx, node, p)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failure(codeBusy, "node %s does not answer within %v", node, elsewhereTimeout)
	case err != nil:
		return nil, failure(codeBusy, "node %s does not answer: %v", node, err)
	case a.Status == http.StatusOK:
		return a.Body, nil
	}
	var known CallError
	if json.Unmarshal(a.Body, &known) != nil || known.Message == "" {
		return nil, failure(codeFailed, "node %s answers with the status %d: it may be of another version", node, a.Status)
	}
	known.Message = node + ": " + known.Message
	return nil, &known
}

// passed is the request as another node gets it.
func (rt *route) passed(q *query) (*Passed, error) {
	p := &Passed{Method: rt.method, Path: rt.path, From: q.r.RemoteAddr, Who: q.who.Name, Role: q.who.Role.String()}
	if rt.path1 != nil {
		p.Path = strings.Replace(rt.path, "{"+rt.path1.name+"}", url.PathEscape(q.path1), 1)
	}
	values := q.r.URL.Query()
	values.Del("node")
	p.Query = values.Encode()
	if rt.body != nil {
		var err error
		if p.Body, err = json.Marshal(q.body); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Answer serves what another node has passed on, with the role of whoever has asked there. from is the name of that node. It may be called when all fields are set, also without Serve.
func (s *Server) Answer(ctx context.Context, from string, p *Passed) *PassedAnswer {
	api, err := s.prepare()
	if err != nil {
		return refusal(err)
	}
	role, err := ParseRole(p.Role)
	if err != nil {
		return refusal(err)
	}
	target, err := url.Parse(apiPrefix + p.Path)
	if err != nil {
		return refusal(failure(codeBad, "the path: %v", err))
	}
	target.RawQuery = p.Query
	if target.Query().Has("node") {
		return refusal(failure(codeBad, "node: it was passed on already"))
	}
	ctx, cancel := context.WithTimeout(withIdentity(ctx, Identity{p.Who, role}), elsewhereTimeout)
	defer cancel()
	w := &written{header: http.Header{}}
	r := (&http.Request{
		Method: p.Method, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}}, Host: s.Version.Node,
		Body: body(p.Body), ContentLength: int64(len(p.Body)), RemoteAddr: fmt.Sprintf("%s by %s", p.From, from), RequestURI: target.RequestURI(),
	}).WithContext(ctx)
	api.ServeHTTP(w, r)
	if !json.Valid(w.text.Bytes()) { // the answer of the mux, to a path that is no route
		return refusal(failure(codeNotFound, "%s %s: no such route: the node may be of another version", p.Method, clip(p.Path)))
	}
	return &PassedAnswer{Status: w.status, Body: w.text.Bytes()}
}

// refusal is a failure as it is passed back.
func refusal(err error) *PassedAnswer {
	known := callError(err)
	text, err := json.Marshal(known)
	if err != nil { // strings only
		text = []byte("{}")
	}
	return &PassedAnswer{Status: known.status(), Body: text}
}

// body is what a request brings.
func body(text []byte) *held { return &held{bytes.NewReader(text)} }

type held struct{ *bytes.Reader }

// Close does nothing.
func (*held) Close() error { return nil }

// written keeps an answer.
type written struct {
	header http.Header
	status int
	text   bytes.Buffer
}

// Header is part of http.ResponseWriter.
func (w *written) Header() http.Header { return w.header }

// WriteHeader is part of http.ResponseWriter.
func (w *written) WriteHeader(status int) { w.status = status }

// Write is part of http.ResponseWriter.
func (w *written) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.text.Write(p)
}
