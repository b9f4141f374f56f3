package owned

// Held is how many services hold something.
func (t *Things) Held() int { return len(t.services()) }
