package store

import (
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache keeps what was read of documents that nobody on this node owns, also that there was nothing.
type cache struct {
	ttl   time.Duration
	most  int // bytes
	bytes int
	docs  *simplelru.LRU[name, *cached]
	m     *Metrics
}

// cached is what is known of one document: all of it, or what projections have left, by their fields.
type cached struct {
	parts map[string]part
	bytes int
}

type part struct {
	doc     Doc
	err     error // ErrNotFound or nil
	expires time.Time
}

// partCost is about what keeping a part takes beside its body.
const partCost = 320

// maxParts bounds the projections that are kept of a document.
const maxParts = 16

func newCache(cfg *Config) *cache {
	// It is bounded by bytes, see put; the number of entries is not.
	docs, err := simplelru.NewLRU[name, *cached](math.MaxInt32, nil)
	if err != nil {
		panic(err) // for a size below 1 only
	}
	return &cache{ttl: cfg.CacheTTL, most: cfg.CacheBytes, docs: docs, m: cfg.Metrics}
}

// fieldsKey names a projection; empty: all of a document. Keys have no zero bytes.
func fieldsKey(fields []string) string { return strings.Join(fields, "\x00") }

// get is what is known of a document, or of a projection of it.
func (c *cache) get(n name, fields []string, now time.Time) (part, bool) {
	e, ok := c.docs.Get(n)
	if !ok {
		return part{}, false
	}
	if p, ok := e.parts[fieldsKey(fields)]; ok && now.Before(p.expires) {
		return p, true
	}
	p, ok := e.parts[""]
	if !ok || !now.Before(p.expires) {
		return part{}, false
	}
	if p.err == nil {
		p.doc.Body, p.err = Project(p.doc.Body, fields)
	}
	return p, true
}

func (c *cache) put(n name, fields []string, p part, now time.Time) {
	cost := partCost + len(n.kind) + len(n.id) + len(p.doc.Body)
	if c.ttl <= 0 || cost > c.most/4 { // one that would drive out many others
		return
	}
	p.expires = now.Add(c.ttl*4/5 + rand.N(c.ttl*2/5+1))
	e, ok := c.docs.Get(n)
	if !ok || len(e.parts) >= maxParts {
		c.drop(n)
		e = &cached{parts: map[string]part{}}
		c.docs.Add(n, e)
	}
	key := fieldsKey(fields)
	if old, ok := e.parts[key]; ok {
		freed := partCost + len(n.kind) + len(n.id) + len(old.doc.Body)
		e.bytes -= freed
		c.bytes -= freed
	}
	e.parts[key] = p
	e.bytes += cost
	c.bytes += cost
	for c.bytes > c.most {
		_, last, ok := c.docs.RemoveOldest()
		if !ok {
			break
		}
		c.bytes -= last.bytes
	}
	c.m.cacheBytes.Set(float64(c.bytes))
}

func (c *cache) drop(n name) {
	if e, ok := c.docs.Peek(n); ok {
		c.bytes -= e.bytes
		c.docs.Remove(n)
		c.m.cacheBytes.Set(float64(c.bytes))
	}
}
