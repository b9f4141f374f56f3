package vm

// maxPlain bounds what Plain takes from an iterator that a script has made, which may have no end.
const maxPlain = 4 << 20

// Plain gives the index of a table that holds itself what pairs finds in the table at index t, for those that read tables without metamethods: t, or, if that
// has a metamethod __pairs, a new table on top of the stack, which lists its keys in the order in which pairs gave them where they can be in one. The metamethod
// can't wait; its errors pass through.
func Plain(s State, t int) int {
	if !s.Metatable(t) {
		return t
	}
	s.PushString("__pairs")
	s.RawGet(-2)
	if s.Type(-1) == Nil {
		s.Pop(2)
		return t
	}
	s.Remove(-2)
	s.NewTable(0, 0)
	s.Insert(-2)
	plain := s.Top() - 1
	s.Copy(t)
	s.Call(1, 3)
	f := plain + 1 // and what it is called with behind it
	for n := 0; ; n++ {
		s.Copy(f)
		s.Copy(f + 1)
		s.Copy(f + 2)
		s.Call(2, 2)
		if s.Type(f+3) == Nil {
			break
		}
		if n == maxPlain {
			s.Errorf("__pairs gives more than %d keys", maxPlain)
		}
		s.Spend(20) // which a call from Go costs at least
		s.Copy(f + 3)
		s.Insert(f + 2)
		s.Remove(f + 3)
		s.RawSet(plain)
	}
	s.SetTop(plain)
	return plain
}
