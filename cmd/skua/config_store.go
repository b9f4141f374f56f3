package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/services/store"
)

func (c *StoreConfig) validate(k *check) {
	if m := c.Mongo.Reveal(); m != "" {
		k.that(isMongo(m), "store.mongo", c.Mongo, "a URI such as mongodb://127.0.0.1:27017, or nothing")
	}
	// MongoDB's own limits on the name of a database.
	k.that(c.Database != "" && len(c.Database) < 64 && !strings.ContainsAny(c.Database, "/\\. \"$*<>:|?\x00"),
		"store.database", c.Database, `1 to 63 bytes without / \ . " $ * < > : | ? and spaces`)
	k.duration("store.autosave", c.Autosave, 10*time.Millisecond, time.Hour)
	k.between("store.flush_batch", c.FlushBatch, 1, 100_000)
	k.that(c.MaxPending >= c.FlushBatch, "store.max_pending", c.MaxPending, fmt.Sprintf("at least store.flush_batch, %d", c.FlushBatch))
	// Two of the largest documents: one that is being written and one that waits.
	k.that(c.MaxPendingBytes >= 2*store.MaxBody, "store.max_pending_bytes", c.MaxPendingBytes, fmt.Sprintf("at least %d", 2*store.MaxBody))
	if c.CacheTTL.Duration != 0 {
		k.duration("store.cache_ttl", c.CacheTTL, time.Millisecond, time.Hour)
	}
	k.that(c.CacheBytes >= 1<<20, "store.cache_bytes", c.CacheBytes, "at least 1048576")
	indexes, err := c.indexes()
	if err == nil {
		err = store.CheckIndexes(indexes)
	}
	if err != nil {
		k.that(false, "store.indexes", err, `indexes such as "player.best" = "-score", "guild.by_name" = "name (unique)" or "mail.old" = "sent (ttl 24h)"`)
	}
}

// cacheTTL is for the store, which takes 0 for its default.
func (c *StoreConfig) cacheTTL() time.Duration {
	if c.CacheTTL.Duration == 0 {
		return -1
	}
	return c.CacheTTL.Duration
}

// indexes reads what was declared.
func (c *StoreConfig) indexes() ([]store.Index, error) {
	all := make([]store.Index, 0, len(c.Indexes))
	for _, key := range slices.Sorted(maps.Keys(c.Indexes)) {
		kind, name, ok := strings.Cut(key, ".")
		if !ok {
			return nil, fmt.Errorf("%q, which is no kind and name", key)
		}
		x := store.Index{Kind: kind, Name: name}
		fields, option, extra := strings.Cut(c.Indexes[key], "(")
		x.Fields = strings.Fields(fields)
		if extra {
			option, closed := strings.CutSuffix(strings.TrimSpace(option), ")")
			ttl, expires := strings.CutPrefix(option, "ttl ")
			switch {
			case !closed:
				return nil, fmt.Errorf("%q of %s, whose parenthesis is not closed", c.Indexes[key], key)
			case option == "unique":
				x.Unique = true
			case expires:
				d, err := time.ParseDuration(strings.TrimSpace(ttl))
				if err != nil || d <= 0 {
					return nil, fmt.Errorf("a ttl of %q of %s", ttl, key)
				}
				x.TTL = d
			default:
				return nil, fmt.Errorf("%q of %s", option, key)
			}
		}
		all = append(all, x)
	}
	return all, nil
}
