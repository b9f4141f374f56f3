package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// reloads is what is told to change versions, and says what it is told to.
type reloads struct {
	last reload.Change
	err  error
	told []reload.Order
}

func (r *reloads) Begin(o reload.Order, _ time.Duration) (reload.Change, error) {
	r.told = append(r.told, o)
	return r.last, r.err
}

func (r *reloads) Last() (reload.Change, bool) { return r.last, r.last.Number > 0 }

func (r *reloads) Versions(_ context.Context, entries int) (reload.Versions, error) {
	return reload.Versions{Current: fmt.Sprint(entries)}, nil
}

func (r *reloads) Diff(_ context.Context, id, _ string) ([]reload.FileChange, error) {
	if id != "known" {
		return nil, fmt.Errorf("%w: %s", reload.ErrNoVersion, id)
	}
	return []reload.FileChange{{File: "agent.lua", Change: "new"}}, nil
}

func TestVersionsAreChangedByThoseWhoMay(t *testing.T) {
	c := newScene(t)
	r := &reloads{}
	server := guardedServer(t)
	server.API = &admin.API{System: c.sys, Reload: r}
	audit, err := admin.OpenAudit(filepath.Join(t.TempDir(), "audit.log"), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = audit.Close() })
	server.Audit = audit
	c.listen(server)
	if doc := c.document(); doc.Paths.Value("/api/v1/reload") == nil || doc.Paths.Value("/api/v1/versions/{id}") == nil {
		t.Error("the document does not tell of reload and versions")
	}
	if code := c.call(viewToken, http.MethodGet, "/reload", "", nil); code != http.StatusNotFound {
		t.Errorf("before the first change: %d", code)
	}
	for _, path := range []string{"/reload", "/rollback"} {
		if code := c.call(viewToken, http.MethodPost, path, `{}`, nil); code != http.StatusForbidden {
			t.Errorf("%s by a viewer: %d", path, code)
		}
	}
	if len(r.told) != 0 {
		t.Fatalf("a viewer has begun %+v", r.told)
	}
	r.last = reload.Change{Number: 1, Action: "reload", State: reload.Running}
	var change reload.Change
	if code := c.call(operateToken, http.MethodPost, "/reload", `{"label":"winter","test":true}`, &change); code != http.StatusOK || change.State != reload.Running {
		t.Errorf("%d %+v", code, change)
	}
	if o := r.told[0]; o.Who != "ci" || o.Label != "winter" || !o.Test || o.Rollback || o.DryRun {
		t.Errorf("%+v", o)
	}
	if code := c.call(viewToken, http.MethodGet, "/reload", "", &change); code != http.StatusOK || change.Number != 1 {
		t.Errorf("%d %+v", code, change)
	}
	r.err = fmt.Errorf("%w: reload by anna", reload.ErrBusy)
	var failed admin.CallError
	if code := c.call(operateToken, http.MethodPost, "/rollback", `{"id":"0123456789abcdef"}`, &failed); code != http.StatusConflict || failed.Code != "conflict" {
		t.Errorf("%d %+v", code, failed)
	}
	if o := r.told[1]; !o.Rollback || o.To != "0123456789abcdef" {
		t.Errorf("%+v", o)
	}
	entries, err := audit.List(time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 || entries[0].Outcome != admin.Failed || entries[1].Outcome != admin.Begun || entries[1].Detail != "winter" || entries[2].Outcome != admin.Refused {
		t.Errorf("%+v", entries)
	}
	var diff admin.VersionDiff
	if code := c.call(viewToken, http.MethodGet, "/versions/known", "", &diff); code != http.StatusOK || len(diff.Files) != 1 {
		t.Errorf("%d %+v", code, diff)
	}
	if code := c.call(viewToken, http.MethodGet, "/versions/other", "", nil); code != http.StatusNotFound {
		t.Errorf("a version that is not there: %d", code)
	}
	var v reload.Versions
	if code := c.call(viewToken, http.MethodGet, "/versions?limit=7", "", &v); code != http.StatusOK || v.Current != "7" {
		t.Errorf("%d %+v", code, v)
	}
}
