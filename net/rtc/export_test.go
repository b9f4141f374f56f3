package rtc

// PutAwaySoon has connections put away as soon as they have nothing to do, and not seconds later. It is for sessions to come.
func (srv *Server) PutAwaySoon() { srv.finished = 1 }

// PutAway is how many sessions have theirs put away.
func (srv *Server) PutAway() (n int) {
	for _, s := range srv.all() {
		s.secure.mu.Lock()
		if s.secure.away != nil && s.secure.in == nil {
			n++
		}
		s.secure.mu.Unlock()
	}
	return n
}
