package store

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Index lets documents of a kind be found by their fields. Documents without the first field are not in it.
//
// What an indexed field may hold: null, booleans, int32, int64 and doubles, text, binary, ObjectIDs, dates and timestamps. A document with something else there (an
// array, say, or a document) is refused, see Key. The order is MongoDB's: null, numbers by their value whatever their type (NaN first), text by its bytes, binary (by
// length, subtype, bytes), ObjectIDs, booleans, dates, timestamps; a later field that is missing counts as null. Documents that are equal in all fields are in the
// order of their ids.
type Index struct {
	Kind, Name string
	// Fields are paths as a.b; -a.b is in descending order. Paths lead through documents, not through arrays. At most MaxIndexFields.
	Fields []string
	// Unique refuses a document whose values another one has: ErrDuplicate.
	Unique bool
	// TTL, if above 0, removes documents that long after the date in the only field, within some minutes, and those with no date in it never. Version and epoch
	// go as well, so it is for documents that nobody owns at that time. Whole seconds.
	TTL time.Duration
}

// Limits of indexes and queries.
const (
	MaxIndexes      = 32 // of a kind
	MaxIndexFields  = 8
	MaxQueryLimit   = 10_000
	MaxIndexedValue = 1024 // bytes of a text or binary value
)

// Op compares a field with a value.
type Op uint8

// The operators. A comparison other than Eq finds values of the same class only: numbers with numbers, text with text. NaN is in no range. Eq null finds null and, but
// in the index's first field, fields that are missing.
const (
	Eq Op = iota
	Lt
	Lte
	Gt
	Gte
)

// String is the operator as MongoDB writes it.
func (o Op) String() string {
	names := [...]string{"$eq", "$lt", "$lte", "$gt", "$gte"}
	if int(o) < len(names) {
		return names[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Condition is one that a document must meet. Value is one that an index may hold.
type Condition struct {
	Path  string
	Op    Op
	Value bson.RawValue
}

// Query asks for documents of a kind by an index: see Plan for what an index serves.
type Query struct {
	Kind string
	// Where has equalities on the first fields of an index, and then at most one range (one or two conditions) on the next. None: all documents in the index that
	// Sort names.
	Where []Condition
	// Sort is the rest of the index's fields, or some of the first of them, or these with all signs turned round. The answer is in the order of all of the index's
	// fields, then of the ids, or in all of it turned round; empty: as the index.
	Sort []string
	// Fields are the paths that the answer's bodies have; empty: all. See Project.
	Fields []string
	// After, if not nil, begins behind a document: see Plan.Position.
	After *Position
	// Limit of documents, 1 to MaxQueryLimit. There may be fewer although there are more, if they have 16 MiB, but at least one.
	Limit int
}

// Position is a place in the order of an index.
type Position struct {
	Values []bson.RawValue // of all fields of the index
	ID     string
}

// CheckIndexes looks at declared indexes before they are built. The error is an InvalidError that names the index. Backends call it.
func CheckIndexes(want []Index) error {
	names, kinds := map[[2]string]bool{}, map[string]int{}
	for _, x := range want {
		if reason := x.bad(); reason != "" {
			return &InvalidError{What: x.String(), Reason: reason}
		}
		if names[[2]string{x.Kind, x.Name}] {
			return &InvalidError{What: x.String(), Reason: "comes twice"}
		}
		names[[2]string{x.Kind, x.Name}] = true
		if kinds[x.Kind]++; kinds[x.Kind] > MaxIndexes {
			return &InvalidError{What: "kind " + x.Kind, Reason: fmt.Sprintf("has more than %d indexes", MaxIndexes)}
		}
	}
	return nil
}

// String is how errors call the index.
func (x Index) String() string { return "index " + clip(x.Name) + " of kind " + clip(x.Kind) }

func (x Index) bad() string {
	if reason := badKind(x.Kind); reason != "" {
		return "the kind " + reason
	}
	if reason := badKind(x.Name); reason != "" {
		return "the name " + reason
	}
	if len(x.Fields) == 0 || len(x.Fields) > MaxIndexFields {
		return fmt.Sprintf("has %d fields, 1 to %d are allowed", len(x.Fields), MaxIndexFields)
	}
	paths := make([]string, len(x.Fields))
	for i, f := range x.Fields {
		paths[i] = strings.TrimPrefix(f, "-")
	}
	if reason := badPaths(paths); reason != "" {
		return reason
	}
	switch {
	case x.TTL < 0 || x.TTL%time.Second != 0:
		return fmt.Sprintf("the TTL is %v, whole seconds are expected", x.TTL)
	case x.TTL > 0 && (len(x.Fields) > 1 || x.Unique || x.Fields[0][0] == '-'):
		return "one with a TTL has one ascending field and is not unique"
	}
	return ""
}

// badPaths tells why a list of paths can't be one: it names a field twice, or a field and one inside it.
func badPaths(paths []string) string {
	for i, p := range paths {
		for key := range strings.SplitSeq(p, ".") {
			if reason := badKey([]byte(key), false, 0); reason != "" || strings.Contains(key, "\x00") {
				return "the path " + clip(p) + " has a part that can't be a key"
			}
		}
		if strings.Count(p, ".") >= MaxDepth {
			return "the path " + clip(p) + " is too deep"
		}
		for _, q := range paths[:i] {
			if p == q || strings.HasPrefix(p, q+".") || strings.HasPrefix(q, p+".") {
				return "the paths " + clip(q) + " and " + clip(p) + " overlap"
			}
		}
	}
	return ""
}

// Key gives the values that a document has in the index, one a field, null for a later field that is missing; false: it is not in the index. The error is an
// InvalidError that names the path of a value which can't be indexed. The values share the body's memory. Backends call it for each write.
func (x *Index) Key(kind, id string, body bson.Raw) ([]bson.RawValue, bool, error) {
	key := make([]bson.RawValue, len(x.Fields))
	for i, f := range x.Fields {
		v, reason := lookup(body, strings.TrimPrefix(f, "-"))
		if reason == "" && v.Type != 0 {
			reason = badIndexed(v)
		}
		switch {
		case reason != "":
			return nil, false, &InvalidError{What: Name(kind, id), Path: strings.TrimPrefix(f, "-"), Reason: reason + " the " + x.String()}
		case v.Type != 0:
			key[i] = v
		case i == 0:
			return nil, false, nil
		default:
			key[i] = bson.RawValue{Type: bson.TypeNull}
		}
	}
	return key, true, nil
}

// lookup finds the value at a path that leads through documents; of type 0 if there is none.
func lookup(body []byte, path string) (v bson.RawValue, reason string) {
	for more := true; more; {
		var key string
		key, path, more = strings.Cut(path, ".")
		e, ok := find(body, key)
		switch {
		case !ok:
			return bson.RawValue{}, ""
		case !more:
			return bson.RawValue{Type: e.kind, Value: e.value}, ""
		case e.kind == bson.TypeArray:
			return bson.RawValue{}, "an array is on the way, which can't be in"
		case e.kind != bson.TypeEmbeddedDocument:
			return bson.RawValue{}, ""
		}
		body = e.value
	}
	return bson.RawValue{}, ""
}

func find(doc []byte, key string) (element, bool) {
	for pos := 4; ; {
		e, ok := elementAt(doc, pos)
		if !ok || string(e.key) == key {
			return e, ok
		}
		pos = e.end
	}
}

func badIndexed(v bson.RawValue) string {
	switch v.Type {
	case bson.TypeNull, bson.TypeBoolean, bson.TypeInt32, bson.TypeInt64, bson.TypeDouble, bson.TypeObjectID, bson.TypeDateTime, bson.TypeTimestamp:
		return ""
	case bson.TypeString, bson.TypeBinary:
		if len(v.Value) > MaxIndexedValue {
			return fmt.Sprintf("a value of %d bytes is too long for", len(v.Value))
		}
		return ""
	}
	return fmt.Sprintf("a value of type %s can't be in", v.Type)
}

// Plan is how an index serves a query.
type Plan struct {
	Index *Index
	// Equal is how many of the first fields have an equality.
	Equal int
	// Range are the conditions on the field after those, at most two.
	Range []Condition
	// Reverse: the index is read from its end.
	Reverse bool
}

// Plan finds the index that serves the query: one whose first fields have the equalities of Where, whose next field has its range, if there is one, and whose
// fields after the equalities begin with those of Sort, all in the same direction or all in the opposite one. Fields with an equality may come in Sort as well.
// Of several it is the one with most equalities, then the first. The error is an InvalidError that names the index which would serve the query. Backends call it.
func (q *Query) Plan(have []Index) (Plan, error) {
	if err := q.check(); err != nil {
		return Plan{}, err
	}
	var best Plan
	for i := range have {
		if have[i].Kind != q.Kind {
			continue
		}
		if p, ok := q.by(&have[i]); ok && (best.Index == nil || p.Equal > best.Equal) {
			best = p
		}
	}
	if best.Index == nil {
		return Plan{}, &InvalidError{What: "query of kind " + q.Kind, Reason: fmt.Sprintf("no index serves it; declare one with the fields %s", strings.Join(q.wants(), ", "))}
	}
	if q.After != nil && len(q.After.Values) != len(best.Index.Fields) {
		return Plan{}, &InvalidError{
			What:   "query of kind " + q.Kind,
			Reason: fmt.Sprintf("its position has %d values, the %s has %d fields", len(q.After.Values), best.Index, len(best.Index.Fields)),
		}
	}
	return best, nil
}

func (q *Query) check() error {
	bad := func(format string, args ...any) error {
		return &InvalidError{What: "query of kind " + clip(q.Kind), Reason: fmt.Sprintf(format, args...)}
	}
	if reason := badKind(q.Kind); reason != "" {
		return bad("the kind %s", reason)
	}
	if q.Limit < 1 || q.Limit > MaxQueryLimit {
		return bad("the limit is %d, 1 to %d are allowed", q.Limit, MaxQueryLimit)
	}
	ranged := ""
	equal := map[string]bool{}
	for _, w := range q.Where {
		if reason := badPaths([]string{w.Path}); reason != "" {
			return bad("%s", reason)
		}
		if reason := badOperand(w.Value); reason != "" {
			return bad("the condition on %s: %s", clip(w.Path), reason)
		}
		if w.Op != Eq && (w.Value.Type == bson.TypeNull || isNaN(w.Value)) {
			return bad("the range on %s ends at null or NaN, which no value is above or below", clip(w.Path))
		}
		switch {
		case w.Op > Gte:
			return bad("the condition on %s has the operator %s", clip(w.Path), w.Op)
		case w.Op == Eq && equal[w.Path]:
			return bad("two equalities on %s", clip(w.Path))
		case w.Op == Eq:
			equal[w.Path] = true
		case ranged != "" && ranged != w.Path:
			return bad("ranges on %s and %s, one is possible", clip(ranged), clip(w.Path))
		default:
			ranged = w.Path
		}
	}
	if equal[ranged] {
		return bad("an equality and a range on %s", clip(ranged))
	}
	if reason := q.badRange(); reason != "" {
		return bad("%s", reason)
	}
	for _, s := range q.Sort {
		if reason := badPaths([]string{strings.TrimPrefix(s, "-")}); reason != "" {
			return bad("%s", reason)
		}
	}
	if q.After != nil {
		if err := CheckName(q.Kind, q.After.ID); err != nil {
			return err
		}
		for _, v := range q.After.Values {
			if reason := badOperand(v); reason != "" {
				return bad("the position: %s", reason)
			}
		}
	}
	return CheckFields(q.Fields)
}

// badOperand tells why a value of a query, which may come from a stranger, can't be in an index.
func badOperand(v bson.RawValue) string {
	if reason := badIndexed(v); reason != "" {
		return reason + " an index"
	}
	w := walker{}
	n, reason := w.value(v.Type, v.Value)
	if reason == "" && n != len(v.Value) {
		return errMalformed.Error()
	}
	return reason
}

func isNaN(v bson.RawValue) bool {
	f, ok := v.DoubleOK()
	return ok && math.IsNaN(f)
}

// badRange tells why the range is none: two lower or two upper ends.
func (q *Query) badRange() string {
	var lower, upper int
	for _, w := range q.Where {
		switch w.Op {
		case Lt, Lte:
			upper++
		case Gt, Gte:
			lower++
		case Eq:
		}
	}
	if lower > 1 || upper > 1 {
		return "a range has one lower and one upper end"
	}
	return ""
}

// by tells how an index serves the query, if it does.
func (q *Query) by(x *Index) (Plan, bool) {
	p := Plan{Index: x}
	equal := map[string]bool{}
	for _, w := range q.Where {
		if w.Op == Eq {
			equal[w.Path] = true
		} else {
			p.Range = append(p.Range, w)
		}
	}
	for p.Equal < len(x.Fields) && equal[strings.TrimPrefix(x.Fields[p.Equal], "-")] {
		p.Equal++
	}
	if p.Equal != len(equal) {
		return p, false
	}
	rest := x.Fields[p.Equal:]
	if len(p.Range) > 0 && (len(rest) == 0 || strings.TrimPrefix(rest[0], "-") != p.Range[0].Path) {
		return p, false
	}
	sorts := slices.DeleteFunc(slices.Clone(q.Sort), func(s string) bool { return equal[strings.TrimPrefix(s, "-")] })
	if len(sorts) > len(rest) || len(q.Where)+len(sorts) == 0 {
		return p, false
	}
	for i, s := range sorts {
		if strings.TrimPrefix(s, "-") != strings.TrimPrefix(rest[i], "-") {
			return p, false
		}
		turned := (s[0] == '-') != (rest[i][0] == '-')
		if i > 0 && turned != p.Reverse {
			return p, false
		}
		p.Reverse = turned
	}
	return p, true
}

// wants are the fields of an index that would serve the query.
func (q *Query) wants() []string {
	var fields []string
	has := func(path string) bool {
		return slices.ContainsFunc(fields, func(f string) bool { return strings.TrimPrefix(f, "-") == path })
	}
	for _, w := range q.Where {
		if w.Op == Eq {
			fields = append(fields, w.Path)
		}
	}
	for _, w := range q.Where {
		if w.Op == Eq || has(w.Path) {
			continue
		}
		if len(q.Sort) > 0 && strings.TrimPrefix(q.Sort[0], "-") == w.Path {
			continue // with its sign, below
		}
		fields = append(fields, w.Path)
	}
	for _, s := range q.Sort {
		if !has(strings.TrimPrefix(s, "-")) {
			fields = append(fields, s)
		}
	}
	if len(fields) == 0 {
		return []string{"(none: a query needs a condition or an order)"}
	}
	return fields
}

// Position is the place of a document that the query has found, for Query.After of the next page. Its body must have the fields of the index.
func (p Plan) Position(doc Doc) (*Position, error) {
	key, in, err := p.Index.Key(doc.Kind, doc.ID, doc.Body)
	if err != nil {
		return nil, err
	}
	if !in {
		return nil, &InvalidError{What: Name(doc.Kind, doc.ID), Reason: "has not the fields of the " + p.Index.String()}
	}
	return &Position{Values: key, ID: doc.ID}, nil
}
