package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/skua-go/skua/services/admin"
)

// fakeCluster is a cluster that is told what to answer.
type fakeCluster struct {
	orders chan admin.DrainOrder
	err    error
}

func (f *fakeCluster) Status(context.Context) (any, error) {
	return map[string]string{"node": "a"}, f.err
}

func (f *fakeCluster) Drain(_ context.Context, o admin.DrainOrder, tell func(admin.DrainProgress)) error {
	f.orders <- o
	tell(admin.DrainProgress{Node: "b", Step: "sessions", State: "begun"})
	return f.err
}

// listening serves until the test ends, and returns the URL.
func listening(t *testing.T, s *admin.Server) string {
	t.Helper()
	addr, _ := serve(t, s)
	return "http://" + addr
}

// post orders a drain.
func post(t *testing.T, base, body string, header map[string]string) (int, []admin.DrainProgress, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/cluster/drain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, nil, string(text)
	}
	var all []admin.DrainProgress
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var p admin.DrainProgress
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return resp.StatusCode, all, ""
}

func TestADrainIsToldLineByLineWithItsEnd(t *testing.T) {
	f := &fakeCluster{orders: make(chan admin.DrainOrder, 1)}
	base := listening(t, &admin.Server{Cluster: f})
	for _, err := range []error{nil, errors.New("3 sessions are left")} {
		f.err = err
		code, all, text := post(t, base, `{"node":"b","timeout_ms":5000,"stay":true}`, nil)
		if code != http.StatusOK || len(all) != 2 || all[0].Step != "sessions" || !all[1].End || (all[1].Error == "") != (err == nil) {
			t.Errorf("%d %+v %s", code, all, text)
		}
		if o := <-f.orders; o != (admin.DrainOrder{Node: "b", Timeout: 5000, Stay: true}) {
			t.Errorf("ordered %+v", o)
		}
	}
}

func TestADrainThatIsNoOrderIsRefused(t *testing.T) {
	f := &fakeCluster{orders: make(chan admin.DrainOrder, 16)}
	base := listening(t, &admin.Server{Cluster: f})
	const good = `{"timeout_ms":5000}`
	for name, c := range map[string]struct {
		body   string
		header map[string]string
		code   int
	}{
		"a web page":         {good, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"an old browser's":   {good, map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"a form":             {good, map[string]string{"Content-Type": "text/plain"}, http.StatusBadRequest},
		"no JSON":            {"x", nil, http.StatusBadRequest},
		"an unknown field":   {`{"timeout_ms":1,"nodes":1}`, nil, http.StatusBadRequest},
		"two of them":        {good + good, nil, http.StatusBadRequest},
		"no time":            {`{}`, nil, http.StatusBadRequest},
		"too long a time":    {`{"timeout_ms":86400001}`, nil, http.StatusBadRequest},
		"too much":           {`{"node":"` + strings.Repeat("x", 5000) + `","timeout_ms":1}`, nil, http.StatusBadRequest},
		"from another host":  {good, map[string]string{"Origin": "null"}, http.StatusForbidden},
		"a name of no token": {`{"node":5,"timeout_ms":1}`, nil, http.StatusBadRequest},
	} {
		if code, _, text := post(t, base, c.body, c.header); code != c.code {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	if len(f.orders) > 0 {
		t.Error("something was drained")
	}
	guarded := listening(t, &admin.Server{Cluster: f, Token: "secret"})
	if code, _, _ := post(t, guarded, good, nil); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	if code, _, _ := post(t, guarded, good, map[string]string{"Authorization": "Bearer secret"}); code != http.StatusOK {
		t.Errorf("with the token: %d", code)
	}
}
