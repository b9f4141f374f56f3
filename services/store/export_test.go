package store

import "go.mongodb.org/mongo-driver/v2/bson"

// CheckedDiff is how a Service checks content against what it replaces.
func CheckedDiff(kind, id string, before, after bson.Raw) (*Patch, error) {
	return checkedDiff(kind, id, before, after)
}
