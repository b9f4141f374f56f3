package rtc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/rtc/terms"
)

// codec is what the packets of a source are encoded with.
type codec struct {
	terms.Codec
	key func(payload []byte) bool
}

func newCodec(c terms.Codec) *codec { return &codec{c, keyFrames(c.Mime)} }

// source is a track of a publisher, or one layer of it: what has come lately, and the slots that it goes to. One goroutine writes.
type source struct {
	server *Server
	kind   Kind
	who    string
	group  string // layers of one picture (simulcast) have the same
	layer  int    // 0 the one that its publisher likes best

	cache
	oldest    atomic.Uint64 // number of the first packet; 0: none yet
	newest    atomic.Uint64 // of the newest
	newestKey atomic.Uint64 // of the newest that a viewer can begin with
	keyAt     atomic.Int64  // when that came, in Unix nanoseconds
	keyTS     uint32

	keys  *keyAsker // nil: its key frames come when they come
	time  *timeline
	sound loudness
	muted atomic.Bool

	mu     sync.Mutex // of shards
	shards []*shard
	view   atomic.Pointer[[]*shard]
	stop   chan struct{}
	tap    atomic.Pointer[tap] // or nil: what makes frames of it
	wait   sync.WaitGroup
	closed bool
}

// shardSize is from how many viewers on a source gets a further goroutine that writes to them: a write takes some 10 µs.
const shardSize = 20

func newSource(srv *Server, kind Kind, who, group string, layer int, clock uint32, sync *senderClock) *source {
	size := videoCache
	if kind == Audio {
		size = audioCache
	}
	s := &source{server: srv, kind: kind, who: who, group: group, layer: layer, cache: newCache(size), time: &timeline{rate: int64(clock), sender: sync}, stop: make(chan struct{})}
	s.shards = []*shard{newShard()}
	s.view.Store(new(slices.Clone(s.shards)))
	return s
}

// write takes a packet in and passes it on. It does not wait for anybody but the network's own socket.
func (s *source) write(p *packet, now time.Time, out *outbox) {
	s.put(p)
	defer s.tap.Load().ring()
	newest := s.newest.Load()
	if newest != 0 && p.seq <= newest {
		for _, sh := range *s.view.Load() {
			sh.late(s, p, out)
		}
		return
	}
	if p.key && (p.ts != s.keyTS || s.newestKey.Load() == 0) { // not the second packet of the same picture
		s.keyTS = p.ts
		s.newestKey.Store(p.seq)
		s.keyAt.Store(now.UnixNano())
	}
	if newest == 0 {
		s.oldest.Store(p.seq)
	}
	s.newest.Store(p.seq)
	s.time.seen(p.ts, now)
	for i, sh := range *s.view.Load() {
		if i == 0 {
			sh.pump(s, now, out)
			continue
		}
		sh.ring()
	}
}

// attach puts a slot on the source: its packets go to it from now on.
func (s *source) attach(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	least := slices.MinFunc(s.shards, func(a, b *shard) int { return a.len() - b.len() })
	if least.len() >= shardSize && len(s.shards) <= maxShards() {
		least = newShard()
		s.shards = append(s.shards, least)
		s.view.Store(new(slices.Clone(s.shards)))
		s.wait.Go(func() { least.serve(s) })
	}
	least.add(sl)
}

// detach ends that. It may be called for a slot that is not on it.
func (s *source) detach(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shards {
		sh.remove(sl)
	}
}

// close ends the goroutines of the source. Its slots stay where they are: it sends them nothing.
func (s *source) close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	close(s.stop)
	s.wait.Wait()
	if s.keys != nil {
		s.keys.close()
	}
}

// begin is the number of the packet that a new viewer begins with: a key frame that is in the cache, if it is young or no other can be asked for; else what comes next. Before
// the first packet that is not known: 0.
func (s *source) begin(now time.Time) (seq uint64, ready bool) {
	newest := s.newest.Load()
	if newest == 0 {
		return 0, false
	}
	if s.kind == Audio {
		return newest + 1, true
	}
	key := s.newestKey.Load()
	fresh := s.keys == nil || now.UnixNano()-s.keyAt.Load() < int64(freshKey)
	if key != 0 && newest-key < s.size()/2 && fresh {
		return key, true
	}
	return newest + 1, false
}

// freshKey is how old a key frame may be for viewers to begin with it rather than with one of their own: what is behind it comes in a burst.
const freshKey = 300 * time.Millisecond

// askKey wants a key frame soon.
func (s *source) askKey() {
	if s.keys != nil {
		s.keys.ask()
	}
}

// keyAsker asks a publisher for key frames, not too often.
type keyAsker struct {
	every time.Duration
	send  func()

	mu     sync.Mutex
	last   time.Time
	timer  *time.Timer // asks when it is time again
	closed bool
}

func (k *keyAsker) ask() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.timer != nil {
		return
	}
	if wait := k.every - time.Since(k.last); wait > 0 && !k.last.IsZero() {
		k.timer = time.AfterFunc(wait, k.later)
		return
	}
	k.last = time.Now()
	k.send()
}

func (k *keyAsker) later() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = nil
	if k.closed {
		return
	}
	k.last = time.Now()
	k.send()
}

func (k *keyAsker) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.timer != nil {
		k.timer.Stop()
	}
}
