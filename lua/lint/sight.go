package lint

import "slices"

// set is a set of small numbers.
type set []uint64

func newSet(n int) set            { return make(set, (n+63)/64) }
func (s set) add(i int)           { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool      { return s[i/64]&(1<<(i%64)) != 0 }
func (s set) meets(of []int) bool { return slices.ContainsFunc(of, s.has) }

func (s set) join(other set) {
	for i, word := range other {
		s[i] |= word
	}
}

// graph is who loads whom. Scripts have the numbers of their places in files, modules of the library those behind them.
type graph struct {
	files    []*file
	byModule map[string]*file
	modules  map[string]int // of the library
	required [][]int        // by each script
}

func newGraph(files []*file, byModule map[string]*file) *graph {
	g := &graph{files: files, byModule: byModule, modules: map[string]int{}, required: make([][]int, len(files))}
	for i, f := range files {
		for _, r := range f.required {
			g.required[i] = append(g.required[i], g.number(r.name))
		}
	}
	return g
}

func (g *graph) number(module string) int {
	if f := g.byModule[module]; f != nil {
		return f.number
	}
	n, ok := g.modules[module]
	if !ok {
		n = len(g.files) + len(g.modules)
		g.modules[module] = n
	}
	return n
}

// link finds out who is loaded beside whom. Any script may be the one that a service begins with, so a script sees another one if some script leads to both. It is
// enough to begin with those that nobody requires, and then with what is left: circles.
func (g *graph) link() {
	size := len(g.files) + len(g.modules)
	for _, f := range g.files {
		f.visible = newSet(size)
	}
	wanted := newSet(size)
	for i, of := range g.required {
		for _, n := range of {
			if n != i {
				wanted.add(n)
			}
		}
	}
	done := newSet(size)
	for _, circles := range []bool{false, true} {
		for root := range g.files {
			if done.has(root) || !circles && wanted.has(root) {
				continue
			}
			loaded := g.reach(root, size)
			for n, f := range g.files {
				if loaded.has(n) {
					f.visible.join(loaded)
				}
			}
			done.join(loaded)
		}
	}
}

// reach is what a script loads, itself included: all scripts if it computes the name of one.
func (g *graph) reach(root, size int) set {
	seen := newSet(size)
	seen.add(root)
	queue := []int{root}
	visit := func(n int) {
		if !seen.has(n) {
			seen.add(n)
			queue = append(queue, n)
		}
	}
	all := false
	for i := 0; i < len(queue); i++ {
		n := queue[i]
		if n >= len(g.files) {
			continue
		}
		for _, other := range g.required[n] {
			visit(other)
		}
		if g.files[n].computed && !all {
			all = true
			for other := range g.files {
				visit(other)
			}
		}
	}
	return seen
}

// sees tells whether a module of the library is loaded beside a script.
func (g *graph) sees(f *file, module string) bool {
	n, ok := g.modules[module]
	return ok && f.visible.has(n)
}
