package lua54

import (
	"weak"

	"github.com/skua-go/skua/lua/vm"
)

// machine is a VM: what its threads share.
type machine struct {
	// What each message needs comes first: a node has thousands of VMs, and none of them in a near cache.
	fuel      int    // steps until the host is asked
	pace      int    // from one time to the next
	limit     int64  // bytes, 0 none
	allocated int64  // bytes since the last measurement
	measured  int64  // bytes found alive then
	ids       uint32 // the last number given to an object
	epoch     uint8  // of the last measurement
	ending    bool   // the __gc of those that are doomed runs: it does not run in itself
	over      bool   // the time is over, as tick has found
	spent     bool   // and so is that to tidy up
	main      *thread
	running   *thread // the one that runs now
	refs      []value
	freeRefs  []int

	tick    func() error
	library func(chunk string) bool // see vm.Options
	engine  Engine
	globals *table
	metas   [kindThread + 1]*table // of values that have none of their own
	loaded  *table
	doomed  []value                // those with __gc, in the order of their making
	threads []weak.Pointer[thread] // made by the host: what they hold is in use as long as the host holds them
	own     map[string]vm.Func     // functions of the library that keep something, by name
	ends    []func()               // what the library does when the VM is closed
	survey  *survey                // the last, until its end
	ahead   *survey                // that of the next one, as far as it has been done ahead
}

// tickEvery is how many steps a thread makes between two looks at the clock, if nobody has set a pace.
const tickEvery = 100_000

// tidySteps is how many steps there are for whoever catches the error of a time that is over: to give a lock back, say. The next error comes behind these, and
// from then on with each step.
const tidySteps = 10_000

// SetPace has the host asked each so many steps, 0 is the usual, and returns how many these are usually. Only the VM's own goroutine may call it, as all else.
func (m *machine) SetPace(steps int) (usual int) {
	if steps <= 0 {
		steps = tickEvery
	}
	m.pace, m.fuel = steps, min(m.fuel, steps)
	return tickEvery
}

// Running is the thread that runs now.
func (m *machine) Running() vm.State { return m.running }

var _ vm.VM = (*machine)(nil)

func (m *machine) Main() vm.State { return m.main }

// Close forgets everything, so that whoever still has a thread keeps no memory alive.
func (m *machine) Close() {
	for _, end := range m.ends {
		end()
	}
	m.ends = nil
	m.refs, m.freeRefs, m.doomed, m.threads = nil, nil, nil, nil
	m.survey, m.ahead = nil, nil
	m.globals, m.loaded = &table{object: object{kind: kindTable}}, nil
	m.metas = [kindThread + 1]*table{}
	m.main.drop()
}

func (m *machine) object(k kind) object {
	m.ids++
	return object{kind: k, hash: m.ids}
}

func (m *machine) newTable(array, fields int) *table {
	t := &table{object: m.object(kindTable)}
	m.allocated += tableSize
	if array > 0 {
		t.arr = make([]value, 0, array)
		m.allocated += int64(array) * valueSize
	}
	if fields > 0 {
		m.allocated += int64(t.resize(fields))
	}
	m.account()
	return t
}

func (m *machine) newString(s string) value {
	m.allocated += int64(len(s)) + 24
	m.account()
	return stringValue(s)
}

// given is a string that comes from outside. Short ones are the names of fields and commands again and again, so those are looked up first.
func (m *machine) given(s string) value {
	if len(s) > maxInterned {
		return m.newString(s)
	}
	return value{o: &intern(s).object}
}

func (m *machine) newThread() *thread {
	m.allocated += 600
	m.account()
	return &thread{object: m.object(kindThread), m: m, stack: make([]value, firstStack), frames: make([]frame, 0, 4)}
}

// ref keeps a value under a number.
func (m *machine) ref(v value) int {
	if v.o == nil {
		return 0
	}
	if n := len(m.freeRefs); n > 0 {
		i := m.freeRefs[n-1]
		m.freeRefs = m.freeRefs[:n-1]
		m.refs[i] = v
		return i
	}
	if len(m.refs) == 0 {
		m.refs = append(m.refs, value{})
	}
	m.refs = append(m.refs, v)
	return len(m.refs) - 1
}

func (m *machine) unref(i int) {
	if i > 0 && i < len(m.refs) && m.refs[i].o != nil {
		m.refs[i] = value{}
		m.freeRefs = append(m.freeRefs, i)
	}
}

// metatable is that of a value, or nil.
func (m *machine) metatable(v value) *table {
	switch v.kind() {
	case kindTable:
		return v.o.table().meta
	case kindUserdata:
		return v.o.userdata().meta
	default:
		return m.metas[v.kind()]
	}
}

// event is a metamethod.
type event uint8

const (
	evIndex event = iota // those that a table keeps in absent come first
	evNewIndex
	evEq
	evLen
	evCall
	evGC
	evMode
	evClose
	evAdd
	evSub
	evMul
	evMod
	evPow
	evDiv
	evIDiv
	evBAnd
	evBOr
	evBXor
	evShl
	evShr
	evUnm
	evBNot
	evLt
	evLe
	evConcat
	evToString
	evName
	evPairs
	evMetatable
	evCount
)

//nolint:gochecknoglobals // constants
var eventNames = [evCount]*str{
	constant("__index"), constant("__newindex"), constant("__eq"), constant("__len"), constant("__call"), constant("__gc"), constant("__mode"),
	constant("__close"), constant("__add"), constant("__sub"), constant("__mul"), constant("__mod"), constant("__pow"), constant("__div"),
	constant("__idiv"), constant("__band"), constant("__bor"), constant("__bxor"), constant("__shl"), constant("__shr"), constant("__unm"),
	constant("__bnot"), constant("__lt"), constant("__le"), constant("__concat"), constant("__tostring"), constant("__name"), constant("__pairs"),
	constant("__metatable"),
}

// method is the metamethod that a metatable has for an event, nil if it has none. Metatables remember what they lack.
func (t *table) method(e event) value {
	if t == nil {
		return value{}
	}
	if e > evClose {
		return t.getStr(eventNames[e])
	}
	if t.absent&(1<<e) != 0 {
		return value{}
	}
	v := t.getStr(eventNames[e])
	if v.o == nil && !t.frozen {
		t.absent |= 1 << e
	}
	return v
}

func (m *machine) methodOf(v value, e event) value { return m.metatable(v).method(e) }
