package sqlite

import (
	"encoding/binary"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/skua-go/skua/services/store"
)

// The log. Each transaction adds at most one row, whose data is a byte for its form, 1, and then the transaction's
// records, one behind the other:
//
//	document's number, version, epoch   each a varint of encoding/binary, unsigned
//	nonce                               8 bytes, little endian
//	patch                               a BSON document: a field a path, whose value is the new one, or BSON's
//	                                    deprecated undefined, which no content may have, where the path is unset
//
// A record is either a write, of the version after the one before, or a change of owner: the same version and nonce, a
// higher epoch, an empty patch.
//
// So a write of some fields costs some ten bytes and no page of its own, and the engine runs one statement a
// transaction, however many documents are written. What the log has of a document is also in memory, see heads.go.
const logForm = 1

// record is one of the log.
type record struct {
	doc                   int64
	version, epoch, nonce int64
	patch                 bson.Raw
}

// appendRecord appends r with this patch; nil: a change of owner.
func appendRecord(dst []byte, r *record, patch *store.Patch) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.doc))
	dst = binary.AppendUvarint(dst, uint64(r.version))
	dst = binary.AppendUvarint(dst, uint64(r.epoch))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.nonce))
	if patch == nil {
		return append(dst, emptyPatch...)
	}
	return appendPatch(dst, patch)
}

var errRecord = errors.New("the log has a record that is none")

// readRecord reads the record that buf begins with and returns the rest. The record shares buf's memory.
func readRecord(buf []byte) (r record, rest []byte, err error) {
	for _, field := range []*int64{&r.doc, &r.version, &r.epoch} {
		v, n := binary.Uvarint(buf)
		if n <= 0 || v > 2*store.MaxCount {
			return r, nil, errRecord
		}
		*field, buf = int64(v), buf[n:]
	}
	if len(buf) < 8 {
		return r, nil, errRecord
	}
	r.nonce, buf = int64(binary.LittleEndian.Uint64(buf)), buf[8:]
	if len(buf) < 5 {
		return r, nil, errRecord
	}
	size := binary.LittleEndian.Uint32(buf)
	if size < 5 || uint64(size) > uint64(len(buf)) {
		return r, nil, errRecord
	}
	r.patch = bson.Raw(buf[:size:size])
	return r, buf[size:], nil
}

// emptyPatch is that of a change of owner.
const emptyPatch = "\x05\x00\x00\x00\x00"

// appendPatch appends a patch as a record has it.
func appendPatch(dst []byte, p *store.Patch) []byte {
	from := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := range p.Set {
		c := &p.Set[i]
		dst = append(dst, byte(c.Value.Type))
		dst = append(append(dst, c.Path...), 0)
		dst = append(dst, c.Value.Value...)
	}
	for _, path := range p.Unset {
		dst = append(dst, byte(bson.TypeUndefined))
		dst = append(append(dst, path...), 0)
	}
	dst = append(dst, 0)
	binary.LittleEndian.PutUint32(dst[from:], uint32(len(dst)-from))
	return dst
}

// add adds a patch of the log to p. It shares raw's memory.
func addPatch(p *store.Patch, raw bson.Raw) error {
	for buf := raw[4 : len(raw)-1]; len(buf) > 0; {
		e, rest, ok := bsoncore.ReadElement(buf)
		if !ok {
			return errRecord
		}
		buf = rest
		v, err := e.ValueErr()
		if err != nil {
			return errRecord
		}
		if bson.Type(v.Type) == bson.TypeUndefined {
			p.Unset = append(p.Unset, e.Key())
			continue
		}
		p.Set = append(p.Set, store.Change{Path: e.Key(), Value: bson.RawValue{Type: bson.Type(v.Type), Value: v.Data}})
	}
	return nil
}
