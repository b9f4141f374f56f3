package lua

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/skua-go/skua/actor"
)

// tidy gives memory back to the system when many services have ended. Go's collector runs when the heap has grown, so a node that has become quiet would keep the
// memory of all who have left.
type tidy struct {
	gone  int  // services that have ended since the last time
	quiet int  // how many they were at the last look
	armed bool // there will be another look
}

const (
	// tidyAfter is how many services have to end before it is worth a collection,
	tidyAfter = 500
	// and tidyPause is how long no other may end: the collection is for when the node has time.
	tidyPause = 2 * time.Second
)

func (t *tidy) ended(c *actor.Context) {
	if t.gone++; t.gone >= tidyAfter && !t.armed {
		t.armed = true
		c.Detached(func() { t.look(c) })
	}
}

func (t *tidy) look(c *actor.Context) {
	t.quiet = t.gone
	c.After(tidyPause, func() {
		if t.gone != t.quiet {
			t.look(c)
			return
		}
		t.gone, t.armed = 0, false
		c.Go(func(context.Context) (any, error) {
			runtime.GC() // what is only kept for the next use is dropped by a second one
			debug.FreeOSMemory()
			return nil, nil //nolint:nilnil // there is nothing to tell
		}, func(any, error) {})
	})
}
