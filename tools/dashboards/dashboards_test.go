// Package dashboards_test holds what deploy/ has for Prometheus and Grafana against nodes under load, with Prometheus' own parser, storage and engine. It is a
// module of its own, so that nobody who uses Skua gets these.
package dashboards_test

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	dashboardFile = "../../deploy/grafana/skua.json"
	alertsFile    = "../../deploy/prometheus/alerts.yaml"
)

// panel is what the dashboard shows in one place.
type panel struct {
	Title   string   `json:"title"`
	Type    string   `json:"type"`
	Panels  []panel  `json:"panels"`
	Targets []target `json:"targets"`
}

type target struct {
	Expr string `json:"expr"`
}

// variables are what Grafana puts into queries.
var variables = strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m") //nolint:gochecknoglobals // a constant

func dashboard(t *testing.T) (panels []panel) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Panels []panel }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	for _, p := range d.Panels {
		panels = append(append(panels, p), p.Panels...)
	}
	return panels
}

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Errorf("%s: %v", alertsFile, err)
	}
	if t.Failed() {
		t.FailNow()
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func TestNodesUnderLoad(t *testing.T) {
	at := play(t)

	t.Run("each query of the dashboard has data", func(t *testing.T) {
		queries := 0
		for _, p := range dashboard(t) {
			for _, q := range p.Targets {
				queries++
				if got := at.query(t, variables.Replace(q.Expr), time.Time{}); !hasNumber(got) {
					t.Errorf("%q: no data for %s", p.Title, q.Expr)
				}
			}
		}
		if queries < 50 {
			t.Errorf("the dashboard has %d queries", queries)
		}
	})
	t.Run("no alert fires while all is well", func(t *testing.T) {
		for _, r := range alerts(t) {
			// What is slow for a moment, on a machine with much else to do, is not what it waits for.
			lasting := time.Duration(0)
			for when := begin; !when.After(at.last); when = when.Add(between) {
				got := at.query(t, r.Expr, when)
				if len(got) == 0 {
					lasting = 0
					continue
				}
				if lasting >= time.Duration(r.For) {
					t.Errorf("%s fires: %v", r.Alert, got)
					break
				}
				lasting += between
			}
		}
	})
	t.Run("what alerts look at is there", func(t *testing.T) {
		// These appear with what they count.
		later := map[string]bool{"skua_trace_spans_total": true, "skua_transport_refused_total": true, "skua_admin_denied_total": true, "skua_login_jwks_fetches_total": true, "skua_media_refused_total": true}
		for _, r := range alerts(t) {
			for _, name := range namesIn(t, r.Expr) {
				if !later[name] && len(at.query(t, "count("+name+")", time.Time{})) == 0 {
					t.Errorf("%s looks at %s, which nodes don't have", r.Alert, name)
				}
			}
		}
	})
}

// hasNumber tells whether a query has found something that can be drawn.
func hasNumber(v promql.Vector) bool {
	for _, s := range v {
		if !math.IsNaN(s.F) {
			return true
		}
	}
	return false
}

// namesIn are the metrics that an expression looks at.
func namesIn(t *testing.T, expr string) (names []string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}

// rising is a counter that grows by so much a minute, for half an hour.
func rising(by float64) []float64 {
	values := make([]float64, 31)
	for i := range values {
		values[i] = float64(i) * by
	}
	return values
}

// trouble is what each alert is for: series, and their values each minute, of which the last stays. It must fire within half an hour, and what it tells must be whole.
var trouble = map[string]map[string][]float64{ //nolint:gochecknoglobals // a table
	"SkuaNodeDown":        {`up{job="skua",instance="a"}`: {1, 0}},
	"SkuaNodeRestarts":    {`process_start_time_seconds{job="skua",instance="a"}`: {1000, 1000, 1100, 1200, 1300}},
	"SkuaMemoryNearLimit": {`process_resident_memory_bytes{job="skua",instance="a"}`: {5e8, 9.5e8}, `go_gc_gomemlimit_bytes{job="skua",instance="a"}`: {1e9, 1e9}},
	"SkuaFilesNearLimit":  {`process_open_fds{job="skua",instance="a"}`: {500, 900}, `process_max_fds{job="skua",instance="a"}`: {1000, 1000}},
	"SkuaNameNotHeld":     {`skua_cluster_lease_held{instance="a"}`: {1, 0}},
	"SkuaNATSDown":        {`skua_cluster_connected{instance="a"}`: {1, 0}},
	"SkuaMemberSuspect":   {`skua_cluster_members{instance="a",state="suspect"}`: {0, 1}},
	"SkuaMessagesLost":    {`skua_cluster_dropped_messages_total{instance="a"}`: {0, 0, 5}},
	"SkuaRequestsFail": {
		`skua_gate_requests_total{instance="a",gate="main"}`:       {0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000},
		`skua_gate_request_errors_total{instance="a",gate="main"}`: {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200},
	},
	"SkuaRequestsSlow": {
		`skua_gate_request_seconds_bucket{instance="a",gate="main",route="buy",le="1"}`:    {0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500},
		`skua_gate_request_seconds_bucket{instance="a",gate="main",route="buy",le="2.5"}`:  {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000},
		`skua_gate_request_seconds_bucket{instance="a",gate="main",route="buy",le="+Inf"}`: {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000},
	},
	"SkuaPlayersRefused":   {`skua_transport_refused_total{instance="a",transport="tcp",reason="full"}`: {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}},
	"SkuaClientsTooSlow":   {`skua_gate_too_slow_total{instance="a"}`: {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900, 2000}},
	"SkuaLoginKeysMissing": {`skua_login_jwt_keys{instance="a"}`: {0}, `skua_login_jwks_fetches_total{instance="a",result="failed"}`: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
	"SkuaLoginsDenied":     {`skua_gate_logins_denied_total{instance="a",gate="main"}`: rising(600), `skua_gate_logins_total{instance="a",gate="main"}`: rising(60)},
	"SkuaAcceptsFail":      {`skua_transport_accept_errors_total{instance="a",gate="main",transport="tcp"}`: {0, 0, 1}},
	"SkuaConnectionsPanic": {`skua_transport_panics_total{instance="a",gate="main",transport="tcp"}`: {0, 0, 1}},
	"SkuaHandlerStuck":     {`skua_actor_stuck_handlers{instance="a"}`: {0, 1}},
	"SkuaQuarantine":       {`skua_actor_quarantined{instance="a"}`: {0, 1}},
	"SkuaHandlersSlow": {
		`skua_actor_handler_seconds_count{instance="a",kind="lua:shop"}`:           {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200},
		`skua_actor_handler_seconds_bucket{instance="a",kind="lua:shop",le="0.1"}`: {0, 80, 160, 240, 320, 400, 480, 560, 640, 720, 800, 880, 960},
	},
	"SkuaDeadLetters":         {`skua_dead_letters_total{instance="a"}`: {0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000}},
	"SkuaActorsFail":          {`skua_actor_failures_total{instance="a"}`: {0, 0, 1}},
	"SkuaActorsRestart":       {`skua_actor_restarts_total{instance="a"}`: {0, 0, 20}},
	"SkuaGrainsDoNotStart":    {`skua_grain_failed_activations_total{instance="a"}`: {0, 0, 20}},
	"SkuaGrainsFenced":        {`skua_grain_fenced_total{instance="a"}`: {0, 0, 1}},
	"SkuaJobsMissed":          {`skua_cron_missed_total{instance="a"}`: {0, 0, 1}},
	"SkuaWritesLate":          {`skua_store_due_timestamp_seconds{instance="a"}`: {0, float64(begin.Unix())}},
	"SkuaWritesRetried":       {`skua_store_retries_total{instance="a"}`: rising(600)},
	"SkuaDocumentsSetAside":   {`skua_store_quarantined_total{instance="a"}`: {0, 0, 1}},
	"SkuaViewersTooSlow":      {`skua_media_viewers_too_slow_total{instance="a"}`: rising(60)},
	"SkuaViewersRefused":      {`skua_media_refused_total{instance="a",action="watch",reason="full"}`: rising(60)},
	"SkuaRecordingsEnd":       {`skua_media_record_failures_total{instance="a"}`: {0, 0, 0}, `skua_media_record_over_quota_total{instance="a"}`: {0, 0, 1}},
	"SkuaVersionFellBack":     {`skua_reload_fallback{instance="a"}`: {0, 1}},
	"SkuaVersionBehind":       {`skua_reload_behind{instance="a"}`: {0, 1}},
	"SkuaReloadStragglers":    {`skua_reload_stragglers{instance="a"}`: {0, 2}},
	"SkuaReloadsFail":         {`skua_reload_changes_total{instance="a",action="reload",outcome="undone"}`: {0, 0, 6}},
	"SkuaCanaryTakenBack":     {`skua_reload_canaries_total{instance="a",outcome="errors"}`: {0, 0, 1}},
	"SkuaOrdersRefused":       {`skua_reload_refused_total{instance="a"}`: {0, 0, 1}},
	"SkuaDatabaseDown":        {`skua_store_database_down{instance="a"}`: {0, 1}},
	"SkuaWritesRefused":       {`skua_store_refused_total{instance="a"}`: {0, 0, 1}},
	"SkuaWritesWait":          {`skua_store_pending_documents{instance="a"}`: {0, 60000}},
	"SkuaStoreRefusesChanges": {`skua_store_overloaded_total{instance="a"}`: {0, 0, 1}},
	"SkuaCommitsSlow": {
		`skua_store_commit_seconds_bucket{instance="a",le="1.024"}`: {0, 0, 0},
		`skua_store_commit_seconds_bucket{instance="a",le="2.048"}`: {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000},
		`skua_store_commit_seconds_bucket{instance="a",le="+Inf"}`:  {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000},
	},
	"SkuaScriptWritesLost": {`skua_mongodb_lost_writes_total{instance="a"}`: {0, 0, 1}},
	"SkuaCertificateEnds":  {`skua_tls_certificate_expires_timestamp_seconds{instance="a",cert="main"}`: {float64(begin.Unix()) + 86400}},
	"SkuaCertificateStale": {`skua_tls_certificate_stale{instance="a",cert="main"}`: {0, 1}},
	"SkuaAdminStrangers":   {`skua_admin_denied_total{instance="a",reason="token"}`: {0, 0, 50}},
	"SkuaAuditLost":        {`skua_admin_unaudited_total{instance="a"}`: {0, 0, 1}},
	"SkuaSpansLost":        {`skua_trace_spans_total{instance="a",result="failed"}`: {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150}},
}

var unfilled = regexp.MustCompile(`\{\{\s*\$labels\.(\w+)`) //nolint:gochecknoglobals // a constant

func TestEachAlertFiresInItsTrouble(t *testing.T) {
	for _, r := range alerts(t) {
		t.Run(r.Alert, func(t *testing.T) {
			series, known := trouble[r.Alert]
			if !known {
				t.Fatal("no trouble is known in which it fires")
			}
			d := openData(t)
			const most = 90
			for i := range most { // in the order of time, as a Prometheus gets them
				for name, values := range series {
					d.put(t, name, begin.Add(time.Duration(i)*time.Minute), values[min(i, len(values)-1)])
				}
			}
			lasting, fires := 0, false
			for i := range most {
				found := d.query(t, r.Expr, begin.Add(time.Duration(i)*time.Minute))
				if len(found) == 0 {
					lasting = 0
					continue
				}
				if i == 0 && beginsWell(series) {
					t.Error("it fires before there is trouble")
				}
				if lasting++; time.Duration(lasting-1)*time.Minute < time.Duration(r.For) {
					continue
				}
				fires = true
				for _, text := range r.Annotations {
					for _, m := range unfilled.FindAllStringSubmatch(text, -1) {
						if found[0].Metric.Get(m[1]) == "" {
							t.Errorf("its text says %s, which %v has not", m[0], found[0].Metric)
						}
					}
				}
				break
			}
			if !fires {
				t.Error("it does not fire")
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("severity is %q", s)
			}
			if cmp.Or(r.Annotations["summary"], r.Annotations["description"]) == "" {
				t.Error("it says nothing")
			}
		})
	}
	if n := len(alerts(t)); n != len(trouble) {
		t.Errorf("%d alerts, trouble for %d", n, len(trouble))
	}
}

// Whoever is woken by an alert finds in the book what to do about it, and the book has no alert that is none.
func TestTheBookHasALineForEachAlert(t *testing.T) {
	const book = "../../docs/observing.md"
	text, err := os.ReadFile(book)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		which, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || !strings.HasPrefix(line, "| `Skua") {
			continue
		}
		for name := range strings.SplitSeq(which, ", ") {
			if name = strings.Trim(name, "`"); told[name] {
				t.Errorf("%s tells of %s twice", book, name)
			}
			told[name] = true
		}
	}
	for _, r := range alerts(t) {
		if !told[r.Alert] {
			t.Errorf("%s does not tell what to do about %s", book, r.Alert)
		}
		delete(told, r.Alert)
	}
	for name := range told {
		t.Errorf("%s tells of %s, which is no alert", book, name)
	}
}

// beginsWell tells whether all is well in the first minute.
func beginsWell(series map[string][]float64) bool {
	for _, v := range series {
		if len(v) < 2 {
			return false
		}
	}
	return true
}
