package codec

// fewKeys is how many keys of a table are told apart by comparing them.
const fewKeys = 12

// keptKeys bounds the memory that is kept for the next body.
const keptKeys = 1024

// keys are those of the tables that are open while a body is read: a key that comes twice is an error, since readers disagree about which one counts.
type keys[K comparable] struct{ all []K }

// scope are the keys of one table: those from first on, and when these are too many to compare, many.
type scope[K comparable] struct {
	first int
	many  map[K]struct{}
}

func (k *keys[K]) open() scope[K] { return scope[K]{first: len(k.all)} }

func (k *keys[K]) close(s scope[K]) { k.all = k.all[:s.first] }

// add tells whether the key is new.
func (k *keys[K]) add(s *scope[K], key K) bool {
	if s.many != nil {
		before := len(s.many)
		s.many[key] = struct{}{}
		return len(s.many) > before
	}
	for _, other := range k.all[s.first:] {
		if other == key {
			return false
		}
	}
	k.all = append(k.all, key)
	if len(k.all)-s.first > fewKeys {
		s.many = make(map[K]struct{}, 4*fewKeys)
		for _, other := range k.all[s.first:] {
			s.many[other] = struct{}{}
		}
	}
	return true
}

// reset drops all keys, which would keep a body alive.
func (k *keys[K]) reset() {
	clear(k.all)
	if k.all = k.all[:0]; cap(k.all) > keptKeys {
		k.all = nil
	}
}
