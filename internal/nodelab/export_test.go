package nodelab

// Within runs f on a thread of a host's network: sockets that it makes are that host's.
func Within(h *Host, f func() error) error { return h.within(f) }
