package socket

// need is what the owner of a connection waits for.
type need struct {
	kind  needKind
	bytes int    // for needBytes
	sep   string // for needLine
}

type needKind uint8

const (
	needNone  needKind = iota // nobody waits
	needSome                  // for anything
	needBlock                 // for anything, to be taken by another call
	needBytes                 // for so many bytes
	needLine                  // for a separator
	needAll                   // for the end
)

// met tells whether a rope has what is needed.
func (n *need) met(r *rope) bool {
	switch n.kind {
	case needSome, needBlock:
		return r.size > 0
	case needBytes:
		return r.size >= n.bytes
	case needLine:
		return r.index(n.sep) > 0
	default:
		return false
	}
}
