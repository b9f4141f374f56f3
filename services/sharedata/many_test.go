package sharedata_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

// Each version has the same number everywhere, so a reader that sees two of them in a handler that does not wait has read two versions.
const readMany = `local c = sharedata.query "conf"
for round = 1, 30 do
	local n = c.n
	for i = 1, #c.rows do assert(c.rows[i].n == n and c.rows[i].deep.n == n, "two versions in one handler") end
	for k, row in pairs(c.rows) do assert(row.n == n, "two versions in a loop") end
	assert(n >= (last or 0), "an older version behind a newer one")
	last = n
	skynet.yield()
end
return last`

func TestManyServicesReadWhileOneUpdates(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		writer := r.Start("runner")
		r.Run(writer, `function version(n) local rows = {} for i = 1, 20 do rows[i] = { n = n, deep = { n = n } } end return { n = n, rows = rows } end
			sharedata.new("conf", version(0))`, "")
		var done sync.WaitGroup
		for range 20 {
			ref := r.Start("runner")
			done.Go(func() {
				if got := r.Call(ref, "run", readMany); strings.HasPrefix(got, "error") {
					r.Error(got)
				}
			})
		}
		r.Run(writer, `for n = 1, 100 do sharedata.update("conf", version(n)) skynet.yield() end`, "")
		done.Wait()
		if got := r.Call(r.Start("runner"), "run", readMany); got != "100" {
			t.Errorf("got version %s, want 100", got)
		}
	})
}

// heap is the bytes that live.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const bigConf = `local rows = {} for i = 1, 10000 do
	rows[i] = { id = i, name = "item " .. i, price = i * 10, weight = i / 8, kind = "sword", level = i % 60,
		bound = i % 2 == 0, slot = 3, icon = "icon" .. i, tier = i % 5 }
end return { rows = rows }`

func TestAThousandServicesShareALargeTable(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a thousand VMs")
	}
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		services := int64(1000)
		if racetest.On { // which makes VMs ten times as slowly
			services = 200
		}
		before := heap()
		a := r.Start("runner")
		r.Run(a, `sharedata.new("conf", [[`+bigConf+`]])`, "")
		table := heap() - before

		refs := make([]actor.Ref, services)
		for i := range refs {
			refs[i] = r.Start("runner")
		}
		before = heap()
		for i, ref := range refs {
			r.Run(ref, fmt.Sprintf(`local c, sum = sharedata.query "conf", 0 for i = %d, %d do sum = sum + c.rows[i].price end
				return #c.rows, sum > 0`, i+1, i+50), "10000 true")
		}
		each := (heap() - before) / services
		t.Logf("%s: the table takes %d KiB, 50 rows of it that a service has read %d bytes in its VM", r.Engine.Name(), table>>10, each)
		if each > table/20 {
			t.Errorf("a service that has read 50 rows takes %d bytes more", each)
		}
		// One that reads everything keeps a bounded part.
		before = heap()
		r.Run(refs[0], `local c, sum = sharedata.query "conf", 0 for round = 1, 3 do for i, row in ipairs(c.rows) do sum = sum + row.level end end
			return sum`, "883920")
		all := heap() - before
		t.Logf("%s: a service that has read all rows has %d KiB more", r.Engine.Name(), all>>10)
		if all > table/2 {
			t.Errorf("a service that has read all rows takes %d bytes more", all)
		}
		runtime.KeepAlive(refs)
	})
}

func TestVersionsThatNobodyReadsAreDropped(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `function version(n) local rows = {} for i = 1, 1000 do rows[i] = { n = n, text = "row " .. i .. " of " .. n } end return { n = n, rows = rows } end
			sharedata.new("conf", version(0)) sharetable.loadtable("conf", version(0)) builder.new("conf", version(0))`, "")
		// The reader looks at each version and keeps none; sharedata's it follows.
		read := `c, d = c or sharedata.query "conf", d or datasheet.query "conf" local s, t = 0, sharetable.query "conf"
			for i = 1, 1000 do s = s + c.rows[i].n + t.rows[i].n + d.rows[i].n end return s`
		churn := func(from, to int) {
			for n := from; n < to; n++ {
				r.Run(a, fmt.Sprintf(`local v = version(%d) sharedata.update("conf", v) sharetable.loadtable("conf", v) builder.update("conf", v)`, n), "")
				r.Run(b, read, fmt.Sprint(3*1000*n))
			}
		}
		churn(1, 10)
		before := heap()
		churn(10, 40)
		if grown := heap() - before; grown > 2<<20 { // a version takes some 150 KiB, three times
			t.Errorf("30 versions later the heap has %d KiB more", grown>>10)
		}
	})
}

func TestServicesThatHaveEndedAreForgotten(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Run(a, `sharedata.new("conf", { n = 1 }) sharetable.loadtable("conf", { n = 1 })`, "")
		churn := func(n int) {
			for range n {
				b := r.Start("runner")
				r.Run(b, `c, t = sharedata.query "conf", sharetable.query "conf" return c.n + t.n`, "2")
				r.System.Stop(b, nil)
				<-r.System.Ended(b)
			}
		}
		churn(30)
		before := heap()
		churn(200)
		if grown := heap() - before; grown > 3<<20 { // a VM takes some 100 KiB
			t.Errorf("200 services later the heap has %d KiB more", grown>>10)
		}
		r.Run(a, `sharedata.update("conf", { n = 2 }) return sharedata.query("conf").n`, "2")
	})
}
