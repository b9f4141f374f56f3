package lease

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Kinds of leases: the first token of their keys.
const (
	Lock      = "lock"
	Leader    = "leader"
	Singleton = "singleton"
	Cron      = "cron"
)

const (
	maxKey  = 512     // bytes
	maxMeta = 4 << 10 // bytes
	maxNode = 64
)

// Key is the key of the lease of a kind (letters and digits) with a name, which may be any text of 1 to 150 bytes: what a key can't have is written as = and two hex digits.
func Key(kind, name string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(kind) + 1 + len(name))
	b.WriteString(kind)
	b.WriteByte('.')
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// checkKey admits what is a key of NATS and no pattern.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%w %.64q: found %d bytes, expected 1 to %d", ErrKey, key, len(key), maxKey)
	}
	before := byte('.')
	for i := range len(key) {
		c := key[i]
		if !plain(c) && c != '=' && (c != '.' || before == '.') {
			return fmt.Errorf("%w %q: expected letters, digits, -, _, = and single dots, found %q", ErrKey, key, c)
		}
		before = c
	}
	if before == '.' {
		return fmt.Errorf("%w %q: it ends with a dot", ErrKey, key)
	}
	return nil
}

// Holder is who has a lease. Node is empty if nobody has.
type Holder struct {
	Key         string
	Node        string
	Incarnation uint64
	// Epoch is the revision of the bucket at which the lease was taken.
	Epoch uint64
	// Since is when, by the holder's clock.
	Since time.Time
	// Meta is what the holder has told with Acquire. It must not be changed.
	Meta []byte
}

// entry is the value of a key.
type entry struct {
	Node        string `json:"node"`
	Incarnation uint64 `json:"inc"`
	// ID tells one taking of the lease from any other.
	ID string `json:"id"`
	// N counts its writes.
	N uint64 `json:"n"`
	// Epoch is 0 in the first, whose revision it is.
	Epoch uint64    `json:"epoch,omitempty"`
	Since time.Time `json:"since"`
	Meta  []byte    `json:"meta,omitempty"`
	// Next says that nobody has the lease, and who may take it first.
	Next *place `json:"next,omitempty"`
}

// place is a node.
type place struct {
	Node        string `json:"node"`
	Incarnation uint64 `json:"inc"`
}

func (e *entry) holder(key string, revision uint64) Holder {
	if e == nil || e.Next != nil {
		return Holder{Key: key}
	}
	return Holder{Key: key, Node: e.Node, Incarnation: e.Incarnation, Epoch: e.epoch(revision), Since: e.Since, Meta: e.Meta}
}

// epoch is that of an entry that was found at a revision.
func (e *entry) epoch(revision uint64) uint64 {
	if e.Epoch != 0 {
		return e.Epoch
	}
	return revision
}

// encode makes the value. A struct of texts and numbers always has one.
func (e *entry) encode() ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("lease: entry: %w", err)
	}
	return text, nil
}

// decode reads a value. One that is none is of somebody who writes another way: it is held until it has not changed for a TTL.
func decode(value []byte) *entry {
	e := &entry{}
	if err := json.Unmarshal(value, e); err != nil {
		return &entry{}
	}
	return e
}
