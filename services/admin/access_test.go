package admin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/services/admin"
)

const (
	viewToken    = "a view token of some length"
	operateToken = "an operate token of some length"
	oldToken     = "a token that was good until yesterday"
)

func token(t *testing.T, name, text string, role admin.Role, expires time.Time) admin.Token {
	t.Helper()
	hash, err := admin.HashToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return admin.Token{Name: name, Role: role, Hash: hash, Expires: expires}
}

// guardedServer has a token for each role and one that has expired, and logs.
func guardedServer(t *testing.T) *admin.Server {
	t.Helper()
	s := &admin.Server{
		Token: "the token of the admin", Metrics: prometheus.NewRegistry(), Cluster: &fakeCluster{orders: make(chan admin.DrainOrder, 16), err: errors.New("3 sessions are left")},
		Tokens: []admin.Token{
			token(t, "grafana", viewToken, admin.View, time.Time{}), token(t, "ci", operateToken, admin.Operate, time.Now().Add(time.Hour)),
			token(t, "left", oldToken, admin.Admin, time.Now().Add(-24*time.Hour)),
		},
	}
	for file, log := range map[string]**admin.Audit{"audit.log": &s.Audit, "refused.log": &s.Refusals} {
		a, err := admin.OpenAudit(filepath.Join(t.TempDir(), file), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		*log = a
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

func entries(t *testing.T, a *admin.Audit) []admin.Entry {
	t.Helper()
	list, err := a.List(time.Time{}, admin.MaxAudit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestARoleMayDoWhatThoseBelowItMayAndNoMore(t *testing.T) {
	s := guardedServer(t)
	addr, _ := serve(t, s)
	for bearer, codes := range map[string][3]int{
		viewToken: {200, 403, 403}, operateToken: {200, 200, 200}, "the token of the admin": {200, 200, 200}, oldToken: {401, 401, 401}, "": {401, 401, 401},
	} {
		header := map[string]string{"Authorization": "Bearer " + bearer}
		version, _ := get(t, addr, "/version", "Bearer "+bearer)
		profile, _ := get(t, addr, "/debug/pprof/cmdline", "Bearer "+bearer)
		drain, _, _ := post(t, "http://"+addr, `{"timeout_ms":5000}`, header)
		if got := [3]int{version, profile, drain}; got != codes {
			t.Errorf("%q: %v, expected %v", bearer, got, codes)
		}
	}
	_, metrics := get(t, addr, "/metrics", "Bearer "+viewToken)
	for _, want := range []string{`{reason="role"} 2`, `{reason="expired"} 3`, `{reason="token"} 3`} {
		if !strings.Contains(metrics, "skua_admin_denied_total"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestChangesAndThoseWhoMayNotAreAudited(t *testing.T) {
	s := guardedServer(t)
	addr, _ := serve(t, s)
	post(t, "http://"+addr, `{"timeout_ms":5000,"node":"b"}`, map[string]string{"Authorization": "Bearer " + operateToken})
	post(t, "http://"+addr, `{"timeout_ms":5000}`, map[string]string{"Authorization": "Bearer " + viewToken})
	for range 5 {
		get(t, addr, "/version", "Bearer "+oldToken)
	}
	found := entries(t, s.Audit)
	if len(found) != 3 {
		t.Fatalf("%+v", found)
	}
	if e := found[0]; e.Who != "grafana" || e.Role != "view" || e.Outcome != admin.Refused || e.Target != "/cluster/drain" || e.Detail != "role" || e.Time.IsZero() || e.From == "" {
		t.Errorf("refused: %+v", e)
	}
	if e := found[1]; e.Who != "ci" || e.Outcome != admin.Failed || e.Error != "3 sessions are left" || e.Target != "b" || e.Action != "drain" {
		t.Errorf("failed: %+v", e)
	}
	if e := found[2]; e.Outcome != admin.Begun {
		t.Errorf("begun: %+v", e)
	}
	if strange := entries(t, s.Refusals); len(strange) != 1 || strange[0].Who != "" || strange[0].Detail != "expired" {
		t.Errorf("five strangers in a moment: %+v", strange)
	}
}

func TestATokenMayBeGivenByItsHash(t *testing.T) {
	sum := sha256.Sum256([]byte(viewToken))
	if got, err := admin.HashToken("sha256:" + hex.EncodeToString(sum[:])); err != nil || got != sum {
		t.Errorf("%x, %v", got, err)
	}
	for _, bad := range []string{"", "short", "sha256:", "sha256:00", "sha256:" + strings.Repeat("x", 64)} {
		if _, err := admin.HashToken(bad); err == nil || bad != "" && strings.Contains(err.Error(), strings.TrimPrefix(bad, "sha256:")) && len(bad) > 10 {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, r := range []admin.Role{admin.View, admin.Operate, admin.Admin} {
		if got, err := admin.ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	if _, err := admin.ParseRole("nobody"); err == nil {
		t.Error("nobody is a role")
	}
}

func TestTheAuditLogSurvivesRestartsAndACutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "audit.log")
	add := func(action string) {
		a, err := admin.OpenAudit(path, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(a.Add(admin.Entry{Who: "x", Action: action, Outcome: admin.Done}), a.Close()); err != nil {
			t.Fatal(err)
		}
		if err := a.Add(admin.Entry{}); err == nil {
			t.Error("a closed log takes entries")
		}
	}
	add("first")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"who":"cut o`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	add("second")
	a, err := admin.OpenAudit(path, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if found := entries(t, a); len(found) != 2 || found[0].Action != "second" || found[1].Action != "first" {
		t.Errorf("%+v", found)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestTheAuditLogKeepsTheNewestFiles(t *testing.T) {
	dir := t.TempDir()
	a, err := admin.OpenAudit(filepath.Join(dir, "audit.log"), 1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i := range 100 {
		if err := a.Add(admin.Entry{Who: "x", Action: strconv.Itoa(i), Outcome: admin.Done}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %d bytes, %v", f.Name(), info.Size(), err)
		}
	}
	found := entries(t, a)
	for i, e := range found {
		if e.Action != strconv.Itoa(99-i) {
			t.Fatalf("entry %d is %s", i, e.Action)
		}
	}
	if len(found) < 20 {
		t.Errorf("%d entries are left", len(found))
	}
	if older, err := a.List(found[4].Time, 3); err != nil || len(older) > 3 || !older[0].Time.Before(found[4].Time) {
		t.Errorf("before %v: %+v, %v", found[4].Time, older, err)
	}
	if err := a.Add(admin.Entry{Detail: strings.Repeat("x", 10_000)}); err == nil {
		t.Error("an entry of any size is taken")
	}
}

func TestAnUnwritableAuditLogIsCounted(t *testing.T) {
	s := guardedServer(t)
	if err := s.Audit.Close(); err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, s)
	if code, _ := get(t, addr, "/debug/pprof/cmdline", "Bearer "+viewToken); code != http.StatusForbidden {
		t.Errorf("%d", code)
	}
	if _, metrics := get(t, addr, "/metrics", "Bearer "+viewToken); !strings.Contains(metrics, "skua_admin_unaudited_total 1") {
		t.Error("nobody counts it")
	}
}
