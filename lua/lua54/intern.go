package lua54

import (
	"hash/maphash"
	"sync/atomic"
)

// Short strings that come from outside, and the constants of scripts, are kept in a table that all VMs of the process share: a name in a message is found there
// without a new object, and is the very one that the script's constants are. What collides is replaced, so the table is bounded, and holds no more than the
// strings that were asked for last.

const (
	maxInterned = 40
	internSlots = 4096
)

var interned [internSlots]atomic.Pointer[str] //nolint:gochecknoglobals // a cache

// intern is a string that VMs may share.
func intern(s string) *str {
	h := hashOf(s)
	slot := &interned[h>>1%internSlots]
	if p := slot.Load(); p != nil && p.hash == h && p.s == s {
		return p
	}
	p := &str{object{kindString, shared, h}, s}
	slot.Store(p)
	return p
}

// internBytes is intern for bytes, of which it keeps nothing.
func internBytes(b []byte) *str {
	h := uint32(maphash.Bytes(seed, b)) | 1
	slot := &interned[h>>1%internSlots]
	if p := slot.Load(); p != nil && p.hash == h && p.s == string(b) {
		return p
	}
	p := &str{object{kindString, shared, h}, string(b)}
	slot.Store(p)
	return p
}
