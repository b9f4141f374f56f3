package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/skua-go/skua/services/reload"
)

// Reloads changes the version of the scripts that a cluster runs.
type Reloads interface {
	// Begin begins a change, and waits for so long for its end. It goes on by itself.
	Begin(o reload.Order, wait time.Duration) (reload.Change, error)
	// Last is the change that is under way, or was the last one.
	Last() (reload.Change, bool)
	// Versions asks all nodes for what they run.
	Versions(ctx context.Context, entries int) (reload.Versions, error)
	// Diff is what a version has changed.
	Diff(ctx context.Context, id, from string) ([]reload.FileChange, error)
}

// reloadWait is how long an answer waits for the end of a change: less than the 3 s within which operators hear of what is stuck.
const reloadWait = 1500 * time.Millisecond

// ReloadOrder asks for the scripts in the project's folder.
type ReloadOrder struct {
	DryRun bool   `json:"dry_run,omitempty" doc:"Only tell what would be done."`
	Test   bool   `json:"test,omitempty" doc:"Run the project's tests first."`
	Label  string `json:"label,omitempty" doc:"What the version is called in the history."`
	Canary string `json:"canary,omitempty" doc:"Who tries it first: \"5%\", \"service NAME\", \"player ID,ID\" or \"node NAME\". Empty: all at once."`
	// CanaryTime is in milliseconds.
	CanaryTime int64 `json:"canary_time_ms,omitempty" doc:"For how long the group is watched; 0: reload.canary_time."`
}

// RollbackOrder asks for a version that is kept.
type RollbackOrder struct {
	ID     string `json:"id,omitempty" doc:"Of the version; empty: the one before the current one."`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only tell what would be done."`
	Label  string `json:"label,omitempty" doc:"Why, for the history."`
}

// VersionDiff is what a version has changed.
type VersionDiff struct {
	Files []reload.FileChange `json:"files"`
}

func (s *Server) reloadRoutes() []route {
	a := s.API.Reload
	if a == nil {
		return nil
	}
	return []route{
		{
			method: http.MethodPost, path: "/reload", id: "reload", role: Operate, here: true, body: ReloadOrder{}, answer: reload.Change{},
			summary: "Have all nodes run the scripts in this node's folder, or none. One that takes longer than a moment goes on: GET tells how far it is",
			serve: func(q *query) (any, error) {
				o := q.body.(*ReloadOrder) //nolint:forcetypeassert // what the route says
				if o.CanaryTime < 0 || o.CanaryTime > reload.MaxCanaryTime.Milliseconds() {
					return nil, failure(codeBad, "canary_time_ms: found %d, expected 0 to %d", o.CanaryTime, reload.MaxCanaryTime.Milliseconds())
				}
				return s.beginReload(q, reload.Order{DryRun: o.DryRun, Test: o.Test, Label: o.Label, Canary: o.Canary, CanaryTime: time.Duration(o.CanaryTime) * time.Millisecond})
			},
		},
		{
			method: http.MethodGet, path: "/reload", id: "reloadState", role: View, here: true, answer: reload.Change{},
			summary: "The change of versions that is under way on this node, or was the last one",
			serve: func(*query) (any, error) {
				c, ok := a.Last()
				if !ok {
					return nil, failure(codeNotFound, "no change of versions since the node has begun")
				}
				return c, nil
			},
		},
		{
			method: http.MethodPost, path: "/rollback", id: "rollback", role: Operate, here: true, body: RollbackOrder{}, answer: reload.Change{},
			summary: "Have all nodes run a version that is kept, or none. Without an ID it ends the canary that goes on, if there is one",
			serve: func(q *query) (any, error) {
				o := q.body.(*RollbackOrder) //nolint:forcetypeassert // what the route says
				return s.beginReload(q, reload.Order{Rollback: true, To: o.ID, DryRun: o.DryRun, Label: o.Label})
			},
		},
		{
			method: http.MethodGet, path: "/versions", id: "versions", role: View, here: true, answer: reload.Versions{}, query: pageParams()[:1],
			summary: "Which version of the scripts each node's actors run, and the history of versions",
			serve:   s.listVersions,
		},
		{
			method: http.MethodGet, path: "/versions/{id}", id: "version", role: View, here: true, answer: VersionDiff{},
			path1:   &param{name: "id", doc: "Of a version that is kept."},
			query:   []param{{name: "from", kind: "string", doc: "The version to compare with; without it, the one that it has replaced."}},
			summary: "What a version has changed, file by file",
			serve:   s.versionDiff,
		},
	}
}

func (s *Server) listVersions(q *query) (any, error) {
	return s.API.Reload.Versions(q.r.Context(), q.number["limit"])
}

func (s *Server) versionDiff(q *query) (any, error) {
	files, err := s.API.Reload.Diff(q.r.Context(), q.path1, q.text["from"])
	if errors.Is(err, reload.ErrNoVersion) {
		return nil, failure(codeNotFound, "%v", err)
	}
	return VersionDiff{Files: files}, err
}

// beginReload begins a change under the name of who asks. What comes of it is audited at its end: see ReloadEntry.
func (s *Server) beginReload(q *query, o reload.Order) (any, error) {
	o.Who = q.who.Name
	if q.detail = o.Label; o.DryRun {
		q.detail = "dry run"
	}
	c, err := s.API.Reload.Begin(o, reloadWait)
	if errors.Is(err, reload.ErrBusy) {
		return nil, failure(codeConflict, "%v", err)
	}
	if err != nil {
		return nil, failure(codeBad, "%v", err)
	}
	switch {
	case c.State == reload.Running:
		q.outcome = Begun
	case o.Rollback && c.Canary != nil: // what comes of the canary is audited for who has begun it
	default:
		q.audited = !o.DryRun
	}
	return c, nil
}

// ReloadEntry is a line of the audit log for a change that has ended, whoever has asked for it.
func ReloadEntry(node string, c *reload.Change) Entry {
	e := Entry{Node: node, Who: c.Who, Action: c.Action, Target: c.To, Detail: clip(c.Label), Outcome: Done}
	if c.Canary != nil {
		e.Detail = clip(strings.TrimSpace(fmt.Sprintf("%s (canary %s: %s)", c.Label, c.Canary.Group, c.Canary.Outcome)))
	}
	if c.State == reload.Undone {
		e.Outcome, e.Error = Failed, clip(c.Error)
	}
	return e
}
