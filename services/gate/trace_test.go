package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/skua-go/skua/actor/trace"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
)

// A shop whose agents call a stock, which calls a bank; each waits in between, so that others come in.
var shop = map[string]string{
	"agent.lua": `
local skynet = require "skynet"
local M = { client = {} }
function M.start(self, player) self.uid = player.uid; self.stock = skynet.uniqueservice("stock") end
function M.client.buy(self, request)
  local paid = skynet.call(self.stock, "lua", "reserve", request.item)
  skynet.sleep(1)
  skynet.send(self.stock, "lua", "note", request.item)
  return { paid = paid, left = skynet.call(self.stock, "lua", "left") }
end
function M.client.fail(self) skynet.call(self.stock, "lua", "break") end
function M.client.wait(self, request) skynet.sleep(request.cs) return {} end
return M`,
	"stock.lua": `
local skynet = require "skynet"
local M = {}
function M.start(self) self.bank = skynet.uniqueservice("bank") end
function M.reserve(self, item) skynet.sleep(2) return skynet.call(self.bank, "lua", "pay", item) end
function M.left(self) return 7 end
function M.note(self) end
M["break"] = function(self) error("out of stock") end
return M`,
	"bank.lua": `
local skynet = require "skynet"
local M = {}
function M.pay(self, item) skynet.sleep(1) return item end
return M`,
}

// traced is a world whose spans are kept.
func traced(w world) (world, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	w.tracer = trace.New(trace.Config{Provider: sdk.NewTracerProvider(sdk.WithSyncer(kept))})
	return w, kept
}

// treeOf draws the trace whose root has this name, and which has as many spans as want has lines: what failed has a ! and the reason.
func treeOf(t *testing.T, kept *tracetest.InMemoryExporter, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "\t\t")
	}
	var got string
	defer func() {
		if t.Failed() {
			t.Logf("got\n%s", got)
		}
	}()
	ok := func() bool {
		for _, s := range kept.GetSpans() {
			if !s.Parent.IsValid() && s.SpanKind.String()+" "+s.Name == strings.Split(lines[0], " !")[0] {
				got = draw(kept.GetSpans(), s)
				return strings.Count(got, "\n") == len(lines)
			}
		}
		return false
	}
	until(t, "the trace "+lines[0]+" is complete", ok)
	if got != strings.Join(lines, "\n")+"\n" {
		t.Errorf("want\n%s", strings.Join(lines, "\n"))
	}
}

func draw(spans tracetest.SpanStubs, root tracetest.SpanStub) string {
	spans = slices.DeleteFunc(spans, func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != root.SpanContext.TraceID() })
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var b strings.Builder
	var below func(parent otel.SpanID, depth int)
	below = func(parent otel.SpanID, depth int) {
		for _, s := range spans {
			if s.Parent.SpanID() != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", depth), s.SpanKind, s.Name)
			for _, a := range s.Attributes {
				if a.Key == "error.type" {
					fmt.Fprintf(&b, " ! %s", a.Value.AsString())
				}
			}
			b.WriteByte('\n')
			below(s.SpanContext.SpanID(), depth+1)
		}
	}
	below(otel.SpanID{}, 0)
	return b.String()
}

func TestARequestThroughScriptsIsOneTrace(t *testing.T) {
	w, kept := traced(world{scripts: shop, gate: gate.Config{Login: gate.LoginGuest}})
	n := start(t, w)
	var clients []*client.Client
	for i := range 4 {
		clients = append(clients, n.enter(fmt.Sprint("player", i), client.Options{}))
	}
	kept.Reset()
	// All at once, so that the waits of one are the turns of others in the stock and in the bank.
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			var got struct {
				Paid string
				Left int
			}
			item := fmt.Sprint("item", i)
			if err := request(c, "buy", map[string]string{"item": item}, &got); err != nil || got.Paid != item || got.Left != 7 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	const each = `server session request buy
  internal agent client buy
    internal stock lua reserve
      internal bank lua pay
    internal stock lua note
    internal stock lua left
`
	until(t, "all spans have ended", func() bool { return len(kept.GetSpans()) == 6*len(clients) })
	for _, s := range kept.GetSpans() {
		if s.Parent.IsValid() {
			continue
		}
		if got := draw(kept.GetSpans(), s); got != each {
			t.Errorf("got\n%s", got)
		}
	}

	if err := request(clients[0], "fail", nil, nil); codeOf(err) != "internal" {
		t.Errorf("got %v", err)
	}
	treeOf(t, kept, `
		server session request fail ! failed
		  internal agent client fail ! failed
		    internal stock lua break ! failed
	`)
	for _, s := range kept.GetSpans() {
		if s.Name != "stock lua break" {
			continue
		}
		if text := fmt.Sprint(s.Events); !strings.Contains(text, "out of stock") || !strings.Contains(text, "stack traceback") {
			t.Errorf("the span of what failed does not tell why: %s", text)
		}
	}
	if err := request(clients[0], "nothing", nil, nil); codeOf(err) != "not_found" {
		t.Errorf("got %v", err)
	}
	treeOf(t, kept, `
		server session request nothing ! *lua.NoHandlerError
		  internal agent client nothing ! *lua.NoHandlerError
	`)
}

func TestALoginIsOneTrace(t *testing.T) {
	w, kept := traced(world{scripts: shop})
	n := start(t, w)
	c := n.dial(client.Options{})
	must(t, logIn(c, "Ann"))
	treeOf(t, kept, `
		server session request login
		  internal login login.Request
		    internal store store.Load ! *errors.errorString
		    internal store store.Claim
		    internal store store.Commit
		    internal store store.Release
		  internal gate gate.attach
	`)
	bad := n.dial(client.Options{})
	if err := request(bad, "login", map[string]string{"name": "ann"}, nil); codeOf(err) != "bad_request" {
		t.Errorf("got %v", err)
	}
	until(t, "a login that was refused is a span with its reason", func() bool {
		return slices.ContainsFunc(kept.GetSpans(), func(s tracetest.SpanStub) bool {
			return s.Name == "session request login" && strings.Contains(s.Status.Description, "bad_request")
		})
	})
}

// Requests wait for earlier ones, and their spans with them; those of a client that has left end with it.
func TestASpanOfARequestLastsUntilItsAnswer(t *testing.T) {
	w, kept := traced(world{scripts: shop, gate: gate.Config{Login: gate.LoginGuest}})
	n := start(t, w)
	c := n.enter("ann", client.Options{})
	kept.Reset()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := request(c, "wait", map[string]int{"cs": 10}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	until(t, "both have ended", func() bool { return len(kept.GetSpans()) == 4 })
	longest := kept.GetSpans()[0]
	for _, s := range kept.GetSpans() {
		if s.EndTime.Sub(s.StartTime) > longest.EndTime.Sub(longest.StartTime) {
			longest = s
		}
	}
	// The second waits for the first, and then as long again. Which of the two came first is not known.
	if took := longest.EndTime.Sub(longest.StartTime); longest.Name != "session request wait" || took.Milliseconds() < 180 {
		t.Errorf("%s took %v", longest.Name, took)
	}
	kept.Reset()
	for range 3 {
		must(t, c.Notify(t.Context(), "wait", map[string]int{"cs": 3000})) // far longer than it takes to notice that the client has gone
	}
	_ = c.Close()
	until(t, "all have ended", func() bool {
		ended := 0
		for _, s := range kept.GetSpans() {
			if s.Name == "session notify wait" && s.SpanKind == otel.SpanKindConsumer && s.Status.Description == "gate: the session has ended before the answer" {
				ended++
			}
		}
		return ended == 3
	})
}
