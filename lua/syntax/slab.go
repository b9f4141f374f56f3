package syntax

// slab hands out values that it has allocated together: a tree has many small parts, which live and die with it.
type slab[T any] struct {
	free []T
	size int // of the last allocation
}

// maxSlab is the most values that are allocated together; a small source has smaller slabs.
const maxSlab = 256

// take returns n values that nobody else has.
func (s *slab[T]) take(n int) []T {
	if n > len(s.free) {
		if n > maxSlab/4 {
			return make([]T, n)
		}
		s.size = min(max(2*s.size, 8, n), maxSlab)
		s.free = make([]T, s.size)
	}
	list := s.free[:n:n]
	s.free = s.free[n:]
	return list
}

// put allocates a value.
func (s *slab[T]) put(value T) *T {
	p := &s.take(1)[0]
	*p = value
	return p
}

// list is a stack on which lists grow, in one another, until their lengths are known.
type list[T any] struct {
	stack []T
	slab  slab[T]
}

// push adds a value to the list that grows.
func (l *list[T]) push(value T) { l.stack = append(l.stack, value) }

// since is where a list begins that grows from now on.
func (l *list[T]) since() int { return len(l.stack) }

// take ends the list that has grown since base; nil if it is empty.
func (l *list[T]) take(base int) []T {
	part := l.stack[base:]
	if len(part) == 0 {
		return nil
	}
	values := l.slab.take(len(part))
	copy(values, part)
	l.stack = l.stack[:base]
	return values
}
