package sharedata

// cache keeps the proxies that a VM has, so that a table is the same one each time it is looked at. It forgets, when it is full, those that were not looked at
// for longest, roughly: a hand goes around and passes those over that were looked at since it last came by.
type cache struct {
	slots []*proxy
	free  []int // where slots has none
	hand  int
}

// cacheSize bounds what a VM keeps that has looked at everything.
const cacheSize = 1024

// keep adds a proxy.
func (ca *cache) keep(p *proxy) {
	if len(ca.free) == 0 && len(ca.slots) < cacheSize {
		ca.free = append(ca.free, len(ca.slots))
		ca.slots = append(ca.slots, nil)
	}
	for len(ca.free) == 0 {
		if old := ca.slots[ca.hand]; old.used {
			old.used = false
		} else {
			ca.drop(old)
		}
		ca.hand = (ca.hand + 1) % len(ca.slots)
	}
	p.place = ca.free[len(ca.free)-1]
	ca.free = ca.free[:len(ca.free)-1]
	ca.slots[p.place] = p
	p.used = true
}

// drop forgets a proxy. A script that holds it can go on.
func (ca *cache) drop(p *proxy) {
	if p.ref == 0 {
		return
	}
	ca.slots[p.place] = nil
	ca.free = append(ca.free, p.place)
	p.uncache()
}

func (ca *cache) dropView(v *view) {
	for _, p := range ca.slots {
		if p != nil && p.view == v {
			ca.drop(p)
		}
	}
}
