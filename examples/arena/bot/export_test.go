package bot

import "time"

// Encoded are the histograms of a part in which n requests took d each.
func Encoded(n int, d time.Duration) [4][]byte {
	m := newMeters()
	for range n {
		m.request.add(d)
	}
	part, err := (&Report{meters: m}).Part()
	if err != nil {
		panic(err)
	}
	return part.Histograms
}
