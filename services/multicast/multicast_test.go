package multicast_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/multicast"
)

func TestAllSubscribersGetWhatIsPublished(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		a, b, c := r.Start("member"), r.Start("member"), r.Start("member")
		r.is(`1 "[Multicast:1]"`, a, "new")
		for _, ref := range []actor.Ref{a, b} {
			r.is("", ref, "listen", 1)
		}
		r.is("", a, "publish", 1, "hello", 5, []any{1, 2}, nil, true)
		r.is("", c, "publish", 1)
		for _, ref := range []actor.Ref{a, b} {
			r.is(`"true true hello 5 {1,2} nil true; true true"`, ref, "heard")
		}
		r.is(`""`, c, "heard")
		r.is("", b, "unlisten", 1)
		r.is("", a, "publish", 1, "more")
		r.is(`"true true more"`, a, "heard")
		r.is(`""`, b, "heard")
	})
}

func TestScriptsOfSkynetsStyleMulticast(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		v, err := r.System.Ask(context.Background(), mustLookup(t, r), lua.Launch{Script: "skynet_style", Args: value.List{}})
		if err != nil {
			t.Fatal(err)
		}
		r.is("10", v.(actor.Ref), "go")
	})
}

func mustLookup(t *testing.T, r *rig) actor.Ref {
	t.Helper()
	ref, ok := r.System.Lookup(lua.LauncherName)
	if !ok {
		t.Fatal("no launcher")
	}
	return ref
}

func TestWhatHandlersDoWithAMessage(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		a, waits, once, fails := r.Start("member"), r.Start("member"), r.Start("member"), r.Start("member")
		r.is(`1 "[Multicast:1]"`, a, "new")
		r.is("", waits, "listen", 1, "wait")
		r.is("", once, "listen", 1, "once")
		r.is("", fails, "listen", 1, "fail")
		for i := range 3 {
			r.is("", a, "publish", 1, i)
		}
		r.is(`"true true 0"`, once, "heard")
		r.is(`""`, fails, "heard")
		if n := r.Logged.Count("on purpose"); n != 3 {
			t.Errorf("%d errors are logged, want 3", n)
		}
		for r.Call(waits, "heard") == `""` { // until the first sleep is over
			r.Call(a, "heard")
		}
		r.is(`"4,x,yz; 4"`, a, "packed")
		r.is(`"a1 b1 b2"`, a, "two_objects")
	})
}

func TestErrorsTellTheChannel(t *testing.T) {
	onBoth(t, multicast.Config{MaxChannels: 2}, func(t *testing.T, r *rig) {
		a, b := r.Start("member"), r.Start("member")
		r.is(`1 "[Multicast:1]"`, a, "new")
		r.fails("multicast: publish: there is no channel 7", b, "publish", 7)
		r.fails("multicast: subscribe: there is no channel 7", b, "listen", 7)
		r.fails("multicast: publish: the number of a channel is expected, got string", b, "publish", "x")
		r.fails("a function is expected as conf.dispatch", b, "no_dispatch")
		r.fails("there are 2 channels, and no more are allowed", b, "new")
		r.fails("member.lua:34: multicast: subscribe: there is no channel 7", b, "listen", 7)
		r.is("", b, "listen", 1)
		r.is("nil", a, "delete", 1)
		r.fails("multicast: publish: the channel has been deleted", a, "publish", 1)
		r.fails("multicast: publish: there is no channel 1", b, "publish", 1)
		r.is("", b, "unlisten", 1)
		r.is(`""`, b, "heard")
		r.is(`3 "[Multicast:3]"`, a, "new")
		if n := r.srv.Channels(); n != 2 {
			t.Errorf("%d channels, want 2", n)
		}
	})
}

func TestADotInPlaceOfAColonIsTold(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		a := r.Start("member")
		for _, what := range []string{"publish", "subscribe", "unsubscribe", "delete"} {
			r.fails("multicast: "+what+" is called with a colon: channel:"+what+"(", a, "dot", what)
		}
	})
}

func TestADeletedChannelLetsItsSubscribersGo(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		a, b := r.Start("member"), r.Start("member")
		for i := 1; i <= 50; i++ {
			r.Call(a, "new")
			r.is("", b, "listen", i)
			r.is("nil", a, "delete", i)
		}
		r.is(`""`, b, "heard")
		if r.srv.Channels() != 0 {
			t.Error("there are channels")
		}
		for i := 1; i <= 50; i++ {
			if n := r.System.Publish(fmt.Sprintf("multicast:%d", i), lua.Message{}); n != 0 {
				t.Fatalf("channel %d has %d subscribers still", i, n)
			}
		}
	})
}

func TestMessagesOfOnePublisherArriveInOrder(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		const publishers, listeners, each = 4, 8, 200
		a := r.Start("member")
		r.is(`1 "[Multicast:1]"`, a, "new")
		var refs []actor.Ref
		for range listeners {
			ref := r.Start("member")
			r.is("", ref, "listen_in_order", 1)
			refs = append(refs, ref)
		}
		var done sync.WaitGroup
		for i := range publishers {
			ref := r.Start("member")
			done.Go(func() { r.is("", ref, "count_up", 1, fmt.Sprint("p", i), each) })
		}
		done.Wait()
		for _, ref := range refs {
			r.is(fmt.Sprintf(`"in order" %d`, publishers*each), ref, "order")
		}
	})
}

func TestSubscribersComeAndGoWhileOthersPublish(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		a, stays := r.Start("member"), r.Start("member")
		r.is(`1 "[Multicast:1]"`, a, "new")
		r.is("", stays, "listen_in_order", 1)
		var done sync.WaitGroup
		for range 5 {
			ref := r.Start("member")
			done.Go(func() { r.is("0", ref, "come_and_go", 1, 100) })
		}
		done.Go(func() { // some end without a word
			for range 20 {
				ref := r.Start("member")
				r.is("", ref, "listen", 1)
				r.System.Kill(ref, nil)
				<-r.System.Ended(ref) // Kill does not wait
			}
		})
		r.is("", a, "count_up", 1, "p", 1000)
		done.Wait()
		r.is(`"in order" 1000`, stays, "order")
		if r.Logged.Count("level=ERROR") != 0 || r.Logged.Count("message refused") != 0 {
			t.Error("the log has problems")
		}
		if n := r.System.Publish("multicast:1", lua.Message{Type: multicast.Type, Args: value.Of("1", "q", 1)}); n != 1 {
			t.Errorf("%d subscribers are left, want 1", n)
		}
	})
}

func TestAMessageThatCannotBeSentIsNamed(t *testing.T) {
	onBoth(t, multicast.Config{}, func(t *testing.T, r *rig) {
		ref := r.Start("publishes_functions")
		if got := r.Call(ref, "go"); !strings.Contains(got, "multicast: publish: argument 2.f: a function cannot be sent") {
			t.Error(got)
		}
	})
}
