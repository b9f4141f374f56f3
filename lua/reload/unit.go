package reload

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/skua-go/skua/lua/vm"
)

// unit is a source with its outline and the code that an engine has made of it.
type unit struct {
	*outline
	engine vm.Patching
	code   map[*function]vm.Code
	fns    map[vm.Code]*function
	ups    map[vm.Code][]string
}

func newUnit(engine vm.Patching, u *vm.Unit) (*unit, error) {
	o, err := scan(u.Chunk, u.Source)
	if err != nil {
		return nil, err
	}
	n := &unit{outline: o, engine: engine, code: map[*function]vm.Code{}, fns: map[vm.Code]*function{}, ups: map[vm.Code][]string{}}
	if err := n.bind(u.Main, o.main); err != nil {
		return nil, err
	}
	return n, nil
}

// bind finds the code of each function. Compilers may take the functions of a statement in another order, and leave out what can't run.
func (u *unit) bind(c vm.Code, f *function) error {
	info := u.engine.Describe(c)
	u.code[f], u.fns[c], u.ups[c] = c, f, info.Upvalues
	rest := slices.Clone(f.inner)
	for _, inner := range info.Inner {
		d := u.engine.Describe(inner)
		i := slices.IndexFunc(rest, func(g *function) bool { return g.line == d.Line && g.end == d.End })
		if i < 0 {
			return fmt.Errorf("reload: %s:%d: the compiler has a function here that the source does not have", u.file, d.Line)
		}
		g := rest[i]
		rest = slices.Delete(rest, i, i+1)
		if err := u.bind(inner, g); err != nil {
			return err
		}
	}
	return nil
}

// compiled is the code of an evaluation: the functions that give its values, and that read and write its targets.
type compiled struct {
	unit   *vm.Unit
	values vm.Code
	places [][2]vm.Code
	names  map[vm.Code][]string
}

// evaluations compiles them, each once.
type evaluations struct {
	mu   sync.Mutex
	made map[*evaluation]*compiled
}

func (all *evaluations) get(u *unit, e *evaluation, graft bool) (*compiled, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if c := all.made[e]; c != nil {
		return c, nil
	}
	text := e.program() + fmt.Sprintf(" -- %p", e)
	made, err := u.engine.Compile(u.file, text)
	if err != nil {
		return nil, fmt.Errorf("reload: %s: the initial value can't be made by itself: %w", u.place(e.line), err)
	}
	u.engine.Forget(u.file, text)
	info := u.engine.Describe(made.Main)
	c := &compiled{unit: made, names: map[vm.Code][]string{}}
	for _, code := range info.Inner {
		c.names[code] = u.engine.Describe(code).Upvalues
	}
	c.values = info.Inner[0]
	for i := range e.targets {
		c.places = append(c.places, [2]vm.Code{info.Inner[1+2*i], info.Inner[2+2*i]})
	}
	if graft && e.text != "" {
		if err := u.graft(c, e); err != nil {
			return nil, err
		}
	}
	all.made[e] = c
	return c, nil
}

// graft has the functions that an evaluation makes be those of the unit.
func (u *unit) graft(c *compiled, e *evaluation) error {
	rest := slices.Clone(e.funcs)
	for n, inner := range u.engine.Describe(c.values).Inner {
		d := u.engine.Describe(inner)
		i := slices.IndexFunc(rest, func(g *function) bool { return g.line == d.Line && g.end == d.End && u.code[g] != nil })
		if i < 0 {
			return fmt.Errorf("reload: %s:%d: the function of the initial value is not found", u.file, d.Line)
		}
		if err := u.engine.Graft(c.values, n, u.code[rest[i]]); err != nil {
			return fmt.Errorf("reload: %s:%d: %w", u.file, d.Line, err)
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return nil
}

// program is the text of a chunk that makes the functions of an evaluation. Its lines are those of the source.
func (e *evaluation) program() string {
	var b strings.Builder
	b.WriteString(strings.Repeat("\n", max(e.line-1, 0)))
	var names []string
	for _, v := range e.scope {
		if e.names[v.name] && !slices.Contains(names, v.name) {
			names = append(names, v.name)
		}
	}
	for _, n := range names {
		b.WriteString("local " + n + " ")
	}
	b.WriteString("return function(...) ")
	if e.text != "" {
		b.WriteString("return " + e.text + "\n")
	}
	b.WriteString("end")
	for _, t := range e.targets {
		b.WriteString(", function() return " + t + " end, function(__value) " + t + " = __value end")
	}
	return b.String()
}

// variable is what an expression of the evaluation means by a name, nil for a global one.
func (e *evaluation) variable(name string) *variable {
	for i := len(e.scope) - 1; i >= 0; i-- {
		if e.scope[i].name == name {
			return e.scope[i]
		}
	}
	return nil
}
