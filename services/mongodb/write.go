package mongodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// operations reads a list of writes as the shell's bulkWrite has them, {insertOne = {document = ...}} and so on, and {update = {filter, update, upsert, multi}}
// as Skynet has them, where an update without operators replaces the document.
func operations(raw bson.Raw) ([]driver.WriteModel, error) {
	ops := raw.Lookup("ops")
	if none, ok := ops.DocumentOK(); ok && len(none) == 5 {
		return nil, nil // an empty table
	}
	list, ok := ops.ArrayOK()
	if !ok {
		return nil, errors.New("a list of operations is expected")
	}
	values, err := list.Values()
	if err != nil {
		return nil, err
	}
	models := make([]driver.WriteModel, len(values))
	for i, v := range values {
		if models[i], err = operation(v); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i+1, err)
		}
	}
	return models, nil
}

func operation(v bson.RawValue) (driver.WriteModel, error) {
	doc, ok := v.DocumentOK()
	if !ok {
		return nil, fmt.Errorf("a table such as { insertOne = { document = ... } } is expected, got %s", v.Type)
	}
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	if len(elements) != 1 {
		return nil, fmt.Errorf("one key, such as insertOne, is expected, got %d", len(elements))
	}
	name := elements[0].Key()
	args, ok := elements[0].Value().DocumentOK()
	if !ok {
		return nil, fmt.Errorf("%s: a table is expected, got %s", name, elements[0].Value().Type)
	}
	p, err := parse(args)
	if err == nil {
		var m driver.WriteModel
		if m, err = p.model(name); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", name, err)
}

// params are what an operation is told.
type params struct {
	filter, document, replacement bson.Raw
	update                        any // a document or a pipeline
	operators                     bool
	arrayFilters                  []any
	hint                          any
	upsert, multi                 bool
	given                         []string
}

func parse(args bson.Raw) (*params, error) {
	p := &params{}
	elements, err := args.Elements()
	if err != nil {
		return nil, err
	}
	for _, e := range elements {
		v := e.Value()
		p.given = append(p.given, e.Key())
		ok := true
		switch e.Key() {
		case "filter":
			p.filter, ok = v.DocumentOK()
		case "document":
			p.document, ok = v.DocumentOK()
		case "replacement":
			p.replacement, ok = v.DocumentOK()
		case "update":
			ok = p.setUpdate(v)
		case "upsert":
			p.upsert, ok = v.BooleanOK()
		case "multi":
			p.multi, ok = v.BooleanOK()
		case "hint":
			p.hint = v
		case "arrayFilters":
			ok = p.setArrayFilters(v)
		default:
			return nil, fmt.Errorf("%q is not known here; runCommand takes all that MongoDB does", e.Key())
		}
		if !ok {
			return nil, fmt.Errorf("%s can't be of type %s", e.Key(), v.Type)
		}
	}
	return p, nil
}

func (p *params) setUpdate(v bson.RawValue) bool {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		doc := v.Document()
		first, err := doc.IndexErr(0)
		p.operators = err == nil && first.Key() != "" && first.Key()[0] == '$'
		p.update = doc
		return true
	case bson.TypeArray:
		stages, ok := documents(v)
		p.update, p.operators = stages, true
		return ok
	}
	return false
}

func (p *params) setArrayFilters(v bson.RawValue) bool {
	list, ok := documents(v)
	for _, doc := range list {
		p.arrayFilters = append(p.arrayFilters, doc)
	}
	return ok
}

func documents(v bson.RawValue) ([]bson.Raw, bool) {
	array, ok := v.ArrayOK()
	if !ok {
		return nil, false
	}
	values, err := array.Values()
	if err != nil {
		return nil, false
	}
	list := make([]bson.Raw, len(values))
	for i, one := range values {
		if list[i], ok = one.DocumentOK(); !ok {
			return nil, false
		}
	}
	return list, true
}

// only refuses parameters that an operation has no use for.
func (p *params) only(names ...string) error {
	for _, name := range p.given {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%q is not for this operation", name)
		}
	}
	return nil
}

func (p *params) model(name string) (driver.WriteModel, error) {
	if name != "insertOne" && p.filter == nil {
		return nil, errors.New("filter is missing")
	}
	switch name {
	case "insertOne":
		if p.document == nil {
			return nil, errors.New("document is missing")
		}
		return driver.NewInsertOneModel().SetDocument(p.document), p.only("document")
	case "replaceOne":
		if p.replacement == nil {
			return nil, errors.New("replacement is missing")
		}
		return p.replace(p.replacement), p.only("filter", "replacement", "upsert", "hint")
	case "deleteOne":
		return &driver.DeleteOneModel{Filter: p.filter, Hint: p.hint}, p.only("filter", "hint")
	case "deleteMany":
		return &driver.DeleteManyModel{Filter: p.filter, Hint: p.hint}, p.only("filter", "hint")
	case "updateOne", "updateMany", "update":
	default:
		return nil, errors.New("no such operation: insertOne, updateOne, updateMany, replaceOne, deleteOne or deleteMany is expected")
	}
	if p.update == nil {
		return nil, errors.New("update is missing")
	}
	one, many := name == "updateOne", name == "updateMany"
	if err := p.only("filter", "update", "upsert", "arrayFilters", "hint", "multi"); err != nil || (one || many) && p.multi {
		return nil, cmp.Or(err, errors.New("multi is said by the name: updateOne or updateMany"))
	}
	switch {
	case one, p.operators && !many && !p.multi:
		return &driver.UpdateOneModel{Filter: p.filter, Update: p.update, Upsert: &p.upsert, ArrayFilters: p.arrayFilters, Hint: p.hint}, nil
	case many, p.operators:
		return &driver.UpdateManyModel{Filter: p.filter, Update: p.update, Upsert: &p.upsert, ArrayFilters: p.arrayFilters, Hint: p.hint}, nil
	case p.multi:
		return nil, errors.New("an update of several documents needs operators such as $set")
	}
	doc, _ := p.update.(bson.Raw)
	return p.replace(doc), nil
}

func (p *params) replace(by bson.Raw) driver.WriteModel {
	return &driver.ReplaceOneModel{Filter: p.filter, Replacement: by, Upsert: &p.upsert, Hint: p.hint}
}

// write does the operations and gives a reply in the form of the commands insert, update and delete: ok, n, nModified, upserted, writeErrors,
// writeConcernError, and the counts that bulkWrite has. The error is one of a server that has not answered.
func (l *link) write(ctx context.Context, db, coll string, models []driver.WriteModel, ordered bool) (bson.Raw, error) {
	result, err := l.client.Database(db).Collection(coll).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(ordered))
	reply := bson.D{{Key: "ok", Value: 1}}
	if result != nil {
		reply = append(reply, counts(result)...)
	}
	var some driver.BulkWriteException
	switch {
	case err == nil:
	case errors.As(err, &some):
		list := make(bson.A, len(some.WriteErrors))
		for i, e := range some.WriteErrors {
			list[i] = writeError(e.WriteError)
		}
		if len(list) > 0 {
			reply = append(reply, bson.E{Key: "writeErrors", Value: list})
		}
		if e := some.WriteConcernError; e != nil {
			reply = append(reply, bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: e.Code}, {Key: "errmsg", Value: e.Message}}})
		}
	default:
		if said, ok := said(err); ok {
			return said, nil
		}
		if unanswered(ctx, err) {
			return nil, l.err(ctx, err)
		}
		reply = bson.D{{Key: "ok", Value: 0}, {Key: "errmsg", Value: l.clean.Error(err).Error()}} // the driver refuses it
	}
	raw, err := bson.Marshal(reply)
	if err != nil {
		return nil, fmt.Errorf("mongo: the reply: %w", err)
	}
	return raw, nil
}

func counts(r *driver.BulkWriteResult) bson.D {
	d := bson.D{ //nolint:prealloc // it grows seldom
		{Key: "n", Value: r.InsertedCount + r.MatchedCount + r.UpsertedCount + r.DeletedCount},
		{Key: "nModified", Value: r.ModifiedCount},
		{Key: "insertedCount", Value: r.InsertedCount},
		{Key: "matchedCount", Value: r.MatchedCount},
		{Key: "modifiedCount", Value: r.ModifiedCount},
		{Key: "deletedCount", Value: r.DeletedCount},
		{Key: "upsertedCount", Value: r.UpsertedCount},
	}
	if len(r.UpsertedIDs) == 0 {
		return d
	}
	list := make(bson.A, 0, len(r.UpsertedIDs))
	for _, i := range slices.SortedFunc(maps.Keys(r.UpsertedIDs), cmp.Compare) {
		list = append(list, bson.D{{Key: "index", Value: i}, {Key: "_id", Value: r.UpsertedIDs[i]}})
	}
	return append(d, bson.E{Key: "upserted", Value: list})
}

// writeError is what the server said of a write, with its place among all of them, which may have been more than one command.
func writeError(e driver.WriteError) bson.D {
	d := bson.D{{Key: "index", Value: e.Index}, {Key: "code", Value: e.Code}, {Key: "errmsg", Value: e.Message}}
	elements, err := e.Raw.Elements()
	if err != nil {
		return d
	}
	for _, one := range elements {
		if key := one.Key(); key != "index" && key != "code" && key != "errmsg" {
			d = append(d, bson.E{Key: key, Value: one.Value()})
		}
	}
	return d
}

// said is the server's reply in an error of the driver, if the server has answered.
func said(err error) (bson.Raw, bool) {
	var command driver.CommandError
	if errors.As(err, &command) && len(command.Raw) > 0 {
		return command.Raw, true
	}
	var write driver.WriteException
	if errors.As(err, &write) && len(write.Raw) > 0 {
		return write.Raw, true
	}
	return nil, false
}

// unanswered tells an error of the connection from one of what was asked.
func unanswered(ctx context.Context, err error) bool {
	var (
		selection  topology.ServerSelectionError
		connection topology.ConnectionError
		login      *auth.Error
	)
	return ctx.Err() != nil || driver.IsNetworkError(err) || driver.IsTimeout(err) || errors.Is(err, driver.ErrClientDisconnected) ||
		errors.As(err, &selection) || errors.As(err, &connection) || errors.As(err, &login)
}
