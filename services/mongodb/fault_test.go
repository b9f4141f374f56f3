package mongodb_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/services/mongodb"
)

func TestAClientThatCanNotBeIsAnErrorAtOnce(t *testing.T) {
	addr := freeport.TCP(t, 1)[0] // at which nobody listens
	host, port, _ := net.SplitHostPort(addr)
	refusing := mongotest.AnswerWith(t, map[string]bson.D{"saslStart": mongotest.Failure(18, "Authentication failed for hunter2.")})
	r := newRig(t, mongodb.Config{
		Timeout: 3 * time.Second, Connect: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Databases: map[string]string{"logs": "mongodb://h", "broken": "mongodb://me:hunter2%zz@h"},
	}, lua54.Engine{})
	ref := r.start()
	for conf, want := range map[string]string{
		fmt.Sprintf(`host = %q, port = %s`, host, port): addr,
		`host = "127.0.0.2"`:                            "not allowed by the node's configuration: connect to 127.0.0.2:27017",
		`uri = "mongodb://` + refusing.Addr() + `/?authMechanism=PLAIN", username = "me", password = "hunter2", authdb = "$external"`: "auth",
		`uri = "mongodb://me:hunter2@` + refusing.Addr() + `/?authMechanism=PLAIN&authSource=$external"`:                              "Authentication failed for REDACTED",
		`uri = "mongodb://h/?tls=true&tlsCAFile=/etc/passwd"`:                                                                         "can't name files",
		`uri = "mongodb://h/?authMechanism=MONGODB-AWS"`:                                                                              "authMechanism MONGODB-AWS is for databases that the node's configuration names",
		`uri = "http://me:hunter2@h/"`:                                                                                                "scheme",
		`uri = 5`:                                                                                                                     "uri: a string is expected",
		`host = "a,b"`:                                                                                                                "invalid host",
		`host = "/tmp/mongodb-27017.sock"`:                                                                                            "invalid host",
		`name = "unknown"`:                                                                                                            `no database of the name "unknown" is configured: those are "broken", "logs"`,
		`name = "broken"`:                                                                                                             "percent-encoding",
		`host = "127.0.0.1", username = "x", password = "hunter2", authmod = "mongodb_cr"`: "scram_sha1 or scram_sha256 is expected",
		`rs = {}`: "one of host, rs, uri and name is expected, got 0",
	} {
		if got := r.fails(ref, `return mongo.client { `+conf+` }`, want); strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s", conf, got)
		}
	}
}

func TestADatabaseIsReachedByItsNameInTheConfiguration(t *testing.T) {
	server := ferrettest.Start(t)
	// The networks are for scripts; what the operator names is not bound by them.
	r := newRig(t, mongodb.Config{Databases: map[string]string{"logs": server.URI()}, Connect: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, lua54.Engine{})
	r.run(r.start(), `local c = mongo.client { name = "logs" } local ok = c.x.y:safe_insert { a = 1 }
		return ok, tostring(c), c.x.y:findOne().a`, `true "[mongo client : logs]" 1`)
}

func TestServicesShareConnectionsUntilTheLastEnds(t *testing.T) {
	both(t, mongodb.Config{}, func(t *testing.T, r *rig, ref actor.Ref, uri string) {
		second := r.start()
		if got := r.call(second, "connect", uri, r.db); got != "" {
			t.Fatal(got)
		}
		if n := r.metric("clients"); n != 1 {
			t.Errorf("%v clients", n)
		}
		r.run(second, `client:disconnect() return pcall(function() local d = things:findOne() return d end)`, `false "chunk:1: mongo: the client is disconnected"`)
		r.run(second, `client:disconnect() client:disconnect() client = mongo.client { uri = ... } things = client[select(2, ...)].others return (things:safe_insert { _id = 1 })`, "true", uri, r.db)
		r.run(ref, `return client:runCommand("ping").ok`, "1")
		third := r.start()
		r.run(third, `local list = {} for i = 1, 3 do list[i] = mongo.client { uri = ... } end return list[3]:runCommand("ping").ok`, "1", uri+"&appName=third")
		if n := r.metric("clients"); n != 2 {
			t.Errorf("%v clients", n)
		}
		r.sys.Stop(third, nil)
		r.until("the third service's connections are closed", func() bool { return r.metric("clients") == 1 })
		r.run(second, `return things:findOne()._id`, "1")
	})
}

func TestWhatIsSentIsWrittenInOrderAndBeforeWhatIsAskedNext(t *testing.T) {
	both(t, mongodb.Config{MaxQueued: 60}, func(t *testing.T, r *rig, ref actor.Ref, uri string) {
		r.run(ref, `for i = 1, 200 do things:insert { _id = i, n = 0 } end return things:find():count()`, "200")
		r.run(ref, `things:batch_insert { { _id = "a" }, { _id = "b" } }
			things:update({ _id = "a" }, { ["$set"] = { n = 1 } })
			things:update({ _id = "a" }, { ["$inc"] = { n = 5 } })
			things:batch_update { { query = { _id = "b" }, update = { n = 9 } } }
			things.database.others:insert { _id = 1 }
			local doc = { x = 1 } things:insert(doc)
			return things:findOne({ _id = "a" }).n, things:findOne({ _id = "b" }).n, things.database.others:find():count(), (bson.type(doc._id))`, `6 9 1 "objectid"`)
		// A write that is refused stops none behind it, and is told of.
		r.run(ref, `things:insert { _id = 1 } things:insert { _id = 2 } things:insert { _id = 1000 } things:batch_insert {} return things:find({ _id = 1000 }):count()`, "1")
		if n := r.metric("lost_writes_total"); n != 2 {
			t.Errorf("%v writes were lost", n)
		}
		r.run(ref, `client:disconnect() client = mongo.client { uri = ... } things = client[select(2, ...)].things`, "", uri, r.db)
		r.until("the log has both", func() bool {
			return r.log.Count("writes to MongoDB that nobody waits for were lost") >= 1 && r.log.Count("writes=1") == 2
		})
		// The service's end does not take back what it has sent.
		other := r.start()
		r.run(other, `local t = mongo.client({ uri = ... })[select(2, ...)].late for i = 1, 40 do t:insert { _id = i } end`, "", uri, r.db)
		r.sys.Stop(other, nil)
		r.until("it is written", func() bool { return r.call(ref, "run", `return things.database.late:find():count()`) == "40" })
	})
}

func TestAWriteThatWaitsForRoomOutlivesItsClient(t *testing.T) {
	both(t, mongodb.Config{MaxQueued: 1}, func(_ *testing.T, r *rig, ref actor.Ref, uri string) {
		r.run(ref, `local skynet = require "skynet"
			for i = 1, 20 do
				local c = mongo.client { uri = ... }
				local t = c[select(2, ...)].later
				t:insert { _id = 2 * i }
				skynet.fork(function() t:insert { _id = 2 * i + 1 } end)
				skynet.yield()
				c:disconnect()
			end`, "", uri+"&appName=other", r.db)
		r.until("all are written", func() bool { return r.call(ref, "run", `return things.database.later:find():count()`) == "40" })
		if n := r.metric("lost_writes_total"); n != 0 {
			r.Errorf("%v writes were lost", n)
		}
	})
}

func TestCursorsOfAServiceAreBounded(t *testing.T) {
	both(t, mongodb.Config{MaxCursors: 3}, func(t *testing.T, r *rig, _ actor.Ref, uri string) {
		ref := r.start()
		if got := r.call(ref, "connect", uri, r.db); got != "" {
			t.Fatal(got)
		}
		r.run(ref, `for i = 1, 150 do things:insert { _id = i } end
			open = {}
			for i = 1, 4 do open[i] = things:find():sort { _id = 1 } open[i]:hasNext() end`, "")
		r.fails(ref, `local n = 0 while open[1]:hasNext() do open[1]:next() n = n + 1 end`, "the cursor is closed; a service has 3 at most")
		r.run(ref, `local n = 0 while open[2]:hasNext() do open[2]:next() n = n + 1 end return n`, "150")
		if n := r.metric("cursors"); n != 2 || r.metric("evicted_cursors_total") != 1 {
			t.Errorf("%v cursors are open", n)
		}
		r.sys.Stop(ref, nil)
		r.until("all are closed", func() bool { return r.metric("cursors") == 0 })
	})
}

// A server that says nothing holds up nobody but those who wait for it.
func TestAServiceGoesOnWhileItsDatabaseIsSilent(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	for _, engine := range engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			r := newRig(t, mongodb.Config{MaxCalls: 3}, engine)
			ref := r.start()
			if got := r.call(ref, "connect", p.URI(), "silent"); got != "" {
				t.Fatal(got)
			}
			r.run(ref, `return (things:safe_update({ _id = "`+engine.Name()+`" }, { n = 1 }, true))`, "true")
			p.Stall()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					if got := r.call(ref, "run", `return things:findOne().n`); got != "1" {
						t.Errorf("got %s", got)
					}
				})
			}
			r.until("they wait", func() bool { return r.metric("calls") == 3 })
			r.fails(ref, `return things:findOne()`, "too many calls of scripts are under way: 3")
			r.run(ref, `return 1 + 1`, "2")
			p.Flow()
			wg.Wait()
			// A service that ends does not wait for a silent server, and leaves nothing.
			p.Stall()
			ended := make(chan string, 1)
			go func() { ended <- r.call(ref, "run", `return things:findOne()`) }()
			r.until("it waits", func() bool { return r.metric("calls") == 1 })
			r.sys.Kill(ref, nil)
			if got := <-ended; !strings.HasPrefix(got, "error: ") {
				t.Errorf("got %s", got)
			}
			r.until("the call is given up", func() bool { return r.metric("calls") == 0 })
			p.Flow()
		})
	}
}

func TestACallIsGivenUpWithTheRequestThatItIsPartOf(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	r := newRig(t, mongodb.Config{}, lua54.Engine{})
	ref := r.start()
	if got := r.call(ref, "connect", p.URI(), "late"); got != "" {
		t.Fatal(got)
	}
	p.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) // in which the handler has begun
	defer cancel()
	// It does not answer once the call is given up: that is at the same moment at which nobody waits any more, and either may be first.
	if _, err := r.sys.Ask(ctx, ref, lua.Command("run", `local ok, err = pcall(things.findOne, things) gave = err require("skynet").wait("never")`)); err == nil {
		t.Error("a silent server has answered")
	}
	r.until("the call is given up", func() bool { return r.metric("calls") == 0 })
	p.Flow()
	if got := r.call(ref, "run", `return gave`); !strings.Contains(got, "deadline") {
		t.Errorf("got %s", got)
	}
	r.run(ref, `return (things:safe_insert { _id = 1 })`, "true")
}

// The connection is cut under a read, a write that can't be told from one that was done, and writes that nobody waits for.
func TestCutConnectionsAreToldAndTheNextCallWorks(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	r := newRig(t, mongodb.Config{}, lua54.Engine{})
	ref := r.start()
	if got := r.call(ref, "connect", p.URI(), "cut"); got != "" {
		t.Fatal(got)
	}
	r.run(ref, `return (things:safe_insert { _id = 1 })`, "true")
	p.CutAfter("find")
	r.run(ref, `return things:findOne()._id`, "1") // asked again
	p.CutAfter("insert")
	r.fails(ref, `return things:safe_insert { _id = 2 }`, "mongo: ")
	r.run(ref, `return things:find():count()`, "2") // it was done
	p.CutAfter("insert")
	r.run(ref, `things:insert { _id = 3 } return things:find({ _id = { ["$lt"] = 3 } }):count()`, "2")
	if n := r.metric("lost_writes_total"); n != 1 || p.Cuts() != 3 {
		t.Errorf("%v writes were lost, %d connections were cut", n, p.Cuts())
	}
}
