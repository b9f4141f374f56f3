package mongo

import (
	"context"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/services/store"
)

// Find implements store.Backend. MongoDB is told which index to use, so that one that somebody has dropped is an error and not a slow query.
func (db *DB) Find(ctx context.Context, q store.Query) ([]store.Doc, error) {
	plan, err := q.Plan(db.indexed.list())
	if err != nil {
		return nil, err
	}
	how := options.Find().SetSort(order(plan)).SetLimit(int64(q.Limit)).SetHint(ours + plan.Index.Name)
	if p := projection(q.Fields); p != nil {
		how.SetProjection(p)
	}
	return db.list(ctx, "find in the "+plan.Index.String(), q.Kind, filter(q, plan), how)
}

// order is that of the index, from its begin or its end, and of the ids where documents are equal in all of its fields.
func order(plan store.Plan) bson.D {
	turn := 1
	if plan.Reverse {
		turn = -1
	}
	d := make(bson.D, 0, len(plan.Index.Fields)+1)
	for _, f := range plan.Index.Fields {
		d = append(d, bson.E{Key: path(f), Value: turn * sign(f)})
	}
	if !plan.Index.Unique {
		d = append(d, bson.E{Key: "_id", Value: turn})
	}
	return d
}

// filter is what the documents have to meet. The index's own condition is among it, without which MongoDB would not use the index
// (https://www.mongodb.com/docs/manual/core/index-partial/).
func filter(q store.Query, plan store.Plan) bson.D {
	all := bson.A{partial(plan.Index)}
	for _, c := range q.Where {
		all = append(all, compare("body."+c.Path, c.Op.String(), c.Value))
	}
	if q.After != nil {
		all = append(all, after(plan, q.After)...)
	}
	return bson.D{{Key: "$and", Value: all}}
}

func compare(field, op string, v any) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: op, Value: v}}}}
}

// after are the conditions for documents behind a position: in the first field that is not equal to the position's they are behind it.
func after(plan store.Plan, at *store.Position) bson.A {
	var either, all bson.A
	before := make(bson.A, 0, len(plan.Index.Fields))
	for i, f := range plan.Index.Fields {
		ascending := (sign(f) > 0) != plan.Reverse
		if i >= plan.Equal { // else the query itself says what it is
			for _, alternative := range behind(path(f), at.Values[i], ascending) {
				either = append(either, and(before, alternative))
			}
			if i == plan.Equal {
				all = bound(path(f), at.Values[i], ascending)
			}
		}
		before = append(before, compare(path(f), "$eq", at.Values[i]))
	}
	if !plan.Index.Unique {
		op := "$gt"
		if plan.Reverse {
			op = "$lt"
		}
		either = append(either, and(before, compare("_id", op, at.ID)))
	}
	if len(either) == 0 { // behind the last one there can be
		return bson.A{compare("_id", "$in", bson.A{})}
	}
	return append(all, bson.D{{Key: "$or", Value: either}})
}

func and(before bson.A, last bson.D) bson.D {
	if len(before) == 0 {
		return last
	}
	return bson.D{{Key: "$and", Value: append(slices.Clone(before), last)}}
}

// bound keeps MongoDB from reading the index from its begin for each page: all but values of the same class on the wrong side.
func bound(field string, v bson.RawValue, ascending bool) bson.A {
	op := "$lt"
	if !ascending {
		op = "$gt"
	}
	if v.Type == bson.TypeNull || isNaN(v) { // nothing is below or above them in their class
		return nil
	}
	return bson.A{bson.D{{Key: field, Value: bson.D{{Key: "$not", Value: bson.D{{Key: op, Value: v}}}}}}}
}

func isNaN(v bson.RawValue) bool {
	f, ok := v.DoubleOK()
	return ok && math.IsNaN(f)
}

// classes are the types that compare with each other, in MongoDB's order (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/), as far as
// an index may hold them.
func classes() [][]string {
	return [][]string{{"null"}, {"double", "int", "long"}, {"string"}, {"binData"}, {"objectId"}, {"bool"}, {"date"}, {"timestamp"}}
}

func classOf(v bson.RawValue) int {
	switch v.Type {
	case bson.TypeNull:
		return 0
	case bson.TypeString:
		return 2
	case bson.TypeBinary:
		return 3
	case bson.TypeObjectID:
		return 4
	case bson.TypeBoolean:
		return 5
	case bson.TypeDateTime:
		return 6
	case bson.TypeTimestamp:
		return 7
	}
	return numbers
}

const numbers = 1

// behind are the conditions, of which one has to hold, for a value behind v in the order of all values. MongoDB's own operators compare within a class only, and
// leave NaN out, which comes before all other numbers. A field that is missing counts as null.
func behind(field string, v bson.RawValue, ascending bool) []bson.D {
	class := classOf(v)
	var list []bson.D
	switch {
	case class == 0:
	case class == numbers && isNaN(v):
		if ascending {
			list = append(list, bson.D{{Key: field, Value: bson.D{{Key: "$type", Value: classes()[numbers]}, {Key: "$ne", Value: v}}}})
		}
	case ascending:
		list = append(list, compare(field, "$gt", v))
	case class == numbers:
		list = append(list, bson.D{{Key: field, Value: bson.D{{Key: "$type", Value: classes()[numbers]}, {Key: "$not", Value: bson.D{{Key: "$gte", Value: v}}}}}})
	default:
		list = append(list, compare(field, "$lt", v))
	}
	others := classes()[class+1:]
	if !ascending {
		others = classes()[:class]
		if class > 0 {
			list = append(list, compare(field, "$eq", nil))
			others = others[1:]
		}
	}
	if types := slices.Concat(others...); len(types) > 0 {
		list = append(list, compare(field, "$type", types))
	}
	return list
}
