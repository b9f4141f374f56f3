package sqlite

// draft is what the writer's transaction makes of the heads. What it changes is noted at their links, so that a write costs neither an allocation nor more than
// to look its name up.
type draft struct {
	heads *heads
	links []*link        // of all heads that it changes
	fresh map[name]*link // those of them that heads has not
	spare []*head
	rows  map[name]head // of some documents that heads has nothing of: as their rows were written last
}

func newDraft(heads *heads) draft {
	return draft{heads: heads, fresh: map[name]*link{}, rows: map[name]head{}}
}

// link gives a document's link, if there is one. Only the writer changes the heads, so it needs no lock.
func (t *draft) link(n name) *link {
	if l := t.heads.names[n]; l != nil || len(t.fresh) == 0 {
		return l
	}
	return t.fresh[n]
}

// get gives a document's head as the transaction has it, if it has one. It holds until the next set or drop of the document.
func (t *draft) get(n name) *head {
	l := t.link(n)
	switch {
	case l == nil:
		return nil
	case l.drafted:
		return l.draft
	}
	return &l.head
}

// set gives a document a head.
func (t *draft) set(n name, h *head) {
	l := t.link(n)
	if l == nil {
		l = &link{name: n}
		t.fresh[n] = l
	}
	t.note(l)
	if l.draft == nil {
		l.draft = t.take()
	}
	*l.draft = *h
}

// drop takes a document's head away: its row is written.
func (t *draft) drop(n name) {
	if l := t.link(n); l != nil {
		t.note(l)
		t.give(l)
	}
}

// mostRemembered is how many rows are remembered. Who changes a document mostly changes it again, and to ask the engine for its row takes far longer than all the rest.
const mostRemembered = 8192

// remember notes that a document's row is written as h says. All is forgotten with the transaction, if that is lost.
func (t *draft) remember(n name, h head) {
	if len(t.rows) >= mostRemembered {
		clear(t.rows)
	}
	h.base, h.first, h.patches, h.chain = h.version, 0, 0, nil
	t.rows[n] = h
}

// forget is to be called when a row changes otherwise.
func (t *draft) forget(n name) { delete(t.rows, n) }

func (t *draft) note(l *link) {
	if !l.drafted {
		l.drafted = true
		t.links = append(t.links, l)
	}
}

func (t *draft) take() *head {
	last := len(t.spare) - 1
	if last < 0 {
		return &head{}
	}
	h := t.spare[last]
	t.spare = t.spare[:last]
	return h
}

// mostSpare is how many heads are kept for the next transaction: as many as one of commits has.
const mostSpare = groupWrites

func (t *draft) give(l *link) {
	if l.draft != nil && len(t.spare) < mostSpare {
		*l.draft = head{}
		t.spare = append(t.spare, l.draft)
	}
	l.draft = nil
}

// done makes the draft the heads, when the transaction is durable.
func (t *draft) done() {
	t.heads.publish(t.links)
	t.end()
}

// undone forgets it.
func (t *draft) undone() {
	clear(t.rows)
	t.end()
}

func (t *draft) end() {
	for _, l := range t.links {
		l.drafted = false
		t.give(l)
	}
	clear(t.links)
	if t.links = t.links[:0]; cap(t.links) > 4*groupWrites {
		t.links = nil
	}
	clear(t.fresh)
}
