package names

import "slices"

// List is the names behind after that somebody has, up to most of them in their order, and how many there are in all. Query tells who has one.
func (x *Names) List(after string, most int) (list []string, total int) {
	x.mu.RLock()
	total = len(x.byName)
	for name := range x.byName {
		if name > after {
			list = append(list, name)
		}
	}
	x.mu.RUnlock()
	slices.Sort(list)
	return list[:min(len(list), most)], total
}
