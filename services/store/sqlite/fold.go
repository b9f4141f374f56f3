package sqlite

import (
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// fold applies the patches of a document's records, one behind the other, to its row's body.
func fold(kind, id string, body bson.Raw, records []byte) (bson.Raw, error) {
	var m merger
	for len(records) > 0 {
		r, rest, err := readRecord(records)
		if err != nil {
			return nil, fmt.Errorf("store: sqlite: %s: %w", store.Name(kind, id), err)
		}
		records = rest
		var p store.Patch
		if err := addPatch(&p, r.patch); err != nil {
			return nil, fmt.Errorf("store: sqlite: %s: %w", store.Name(kind, id), err)
		}
		if m.add(&p) {
			continue
		}
		if body, err = m.apply(kind, id, body); err != nil {
			return nil, err
		}
		m.add(&p)
	}
	return m.apply(kind, id, body)
}

// merger makes one patch of several, as long as their order does not matter but for the last one to set a path: to
// apply a patch takes time in proportion to the whole document.
type merger struct {
	patch store.Patch
	at    map[string]int // path → its place in patch.Set
}

// mostCompared is how many pairs of paths may be compared: with more, to apply the patches one by one is as good.
const mostCompared = 4096

// add adds a patch that comes behind the others; false: these must be applied before.
func (m *merger) add(p *store.Patch) bool {
	if m.patch.IsEmpty() {
		m.patch = *p
		return true
	}
	if len(p.Unset) > 0 || len(m.patch.Unset) > 0 || len(p.Set)*len(m.patch.Set) > mostCompared {
		return p.IsEmpty()
	}
	if m.at == nil {
		m.at = make(map[string]int, len(m.patch.Set)+len(p.Set))
		for i := range m.patch.Set {
			m.at[m.patch.Set[i].Path] = i
		}
	}
	for i := range p.Set {
		if path := p.Set[i].Path; !m.known(path) && m.meets(path) {
			return false
		}
	}
	for _, c := range p.Set {
		if i, known := m.at[c.Path]; known {
			m.patch.Set[i] = c
			continue
		}
		m.at[c.Path] = len(m.patch.Set)
		m.patch.Set = append(m.patch.Set, c)
	}
	return true
}

func (m *merger) known(path string) bool {
	_, known := m.at[path]
	return known
}

// meets tells whether one of the paths leads through the other's end.
func (m *merger) meets(path string) bool {
	for have := range m.at {
		if overlap(have, path) {
			return true
		}
	}
	return false
}

// apply applies what has been added, and begins anew.
func (m *merger) apply(kind, id string, body bson.Raw) (bson.Raw, error) {
	if m.patch.IsEmpty() {
		return body, nil
	}
	next, err := m.patch.Apply(body)
	if err != nil {
		// Not ErrInvalid: that is about what a caller has given.
		return nil, fmt.Errorf("store: sqlite: %s: the log does not belong to the row: %v", store.Name(kind, id), err) //nolint:errorlint // see above
	}
	*m = merger{}
	return next, nil
}

// overlap tells whether two paths are the same or one leads to the other.
func overlap(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(b, a) && (len(a) == len(b) || b[len(a)] == '.')
}
