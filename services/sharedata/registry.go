package sharedata

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// kind is a namespace of shared tables: what a script has made with one of the three modules, the others do not find.
type kind uint8

const (
	data  kind = iota // skynet.sharedata
	table             // skynet.sharetable
	sheet             // skynet.datasheet
	kinds
)

// String is the module's name, with which its errors begin.
func (k kind) String() string { return [...]string{"sharedata", "sharetable", "datasheet"}[k] }

func kindOf(name string) (kind, bool) {
	for k := range kinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// mode tells what there must be under a name before a table is put there.
type mode uint8

const (
	put    mode = iota // whatever there is, is replaced
	add                // nothing
	change             // a table
)

func modeOf(name string) (mode, bool) {
	switch name {
	case "put":
		return put, true
	case "new":
		return add, true
	case "update":
		return change, true
	}
	return 0, false
}

// registry is the shared tables of a node by name. It is asked by all VMs, each from its own goroutine.
type registry struct {
	maxNames int

	mu     sync.RWMutex
	byName [kinds]map[string]*object
}

// object is one name, from its first table until it is deleted.
type object struct {
	kind kind
	name string
	now  atomic.Pointer[frozen]
	gone atomic.Bool
	from atomic.Pointer[origin] // nil for what scripts have made themselves

	mu       sync.Mutex
	watchers map[weak.Pointer[client]]struct{} // the VMs that have asked for it; one that is gone is forgotten at the next look
	lookAt   int                               // the number of watchers at which those that are gone are looked for
}

func (r *registry) find(k kind, name string) *object {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[k][name]
}

func (r *registry) names(k kind) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Keys(r.byName[k]))
}

// allowed tells why a mode can't be followed, if so.
func (r *registry) allowed(k kind, name string, m mode) error {
	switch o := r.find(k, name); {
	case m == add && o != nil:
		return fmt.Errorf("%s: there is a table %q already; update changes it", k, name)
	case m == change && o == nil:
		return fmt.Errorf("%s: there is no table %q to update; new makes one", k, name)
	}
	return nil
}

// put publishes a table and tells those who read the one before.
func (r *registry) put(k kind, name string, m mode, root *frozen, from *origin) error {
	if err := r.allowed(k, name, m); err != nil {
		return err
	}
	o, err := r.place(k, name, m, root, from)
	if err != nil {
		return err
	}
	if o != nil {
		o.publish(root, from)
	}
	return nil
}

func (o *object) publish(root *frozen, from *origin) {
	o.from.Store(from)
	o.now.Store(root)
	o.tell()
}

// place makes the object of a name, or gives the one that is there.
func (r *registry) place(k kind, name string, m mode, root *frozen, from *origin) (*object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.byName[k][name]; o != nil {
		if m == add {
			return nil, fmt.Errorf("%s: there is a table %q already; update changes it", k, name)
		}
		return o, nil
	}
	if len(r.byName[k]) >= r.maxNames {
		return nil, fmt.Errorf("%s: there are %d tables, and no more are allowed: %q is refused", k, r.maxNames, name)
	}
	if r.byName[k] == nil {
		r.byName[k] = map[string]*object{}
	}
	o := &object{kind: k, name: name, lookAt: 16}
	o.now.Store(root)
	o.from.Store(from)
	r.byName[k][name] = o
	return nil, nil //nolint:nilnil // nobody reads a new one yet
}

// remove forgets a name. Who has its table reads on.
func (r *registry) remove(k kind, name string) error {
	r.mu.Lock()
	o := r.byName[k][name]
	delete(r.byName[k], name)
	r.mu.Unlock()
	if o == nil {
		return fmt.Errorf("%s: there is no table %q", k, name)
	}
	o.gone.Store(true)
	o.tell()
	return nil
}

// watch has a VM hear of changes.
func (o *object) watch(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watchers == nil {
		o.watchers = map[weak.Pointer[client]]struct{}{}
	}
	o.watchers[c.self] = struct{}{}
	if len(o.watchers) < o.lookAt {
		return
	}
	for w := range o.watchers {
		if w.Value() == nil {
			delete(o.watchers, w)
		}
	}
	o.lookAt = max(16, 2*len(o.watchers))
}

func (o *object) tell() {
	o.mu.Lock()
	watchers := make([]*client, 0, len(o.watchers))
	for w := range o.watchers {
		if c := w.Value(); c != nil {
			watchers = append(watchers, c)
		} else {
			delete(o.watchers, w)
		}
	}
	o.mu.Unlock()
	for _, c := range watchers {
		c.hear()
	}
}
