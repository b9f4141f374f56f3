package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// testCore is the module that scripts/skua/test.lua and its runner are made with.
const testCore = "skua.test.core"

// testType is the type of messages to the runner of tests, which a test has no use for itself.
const testType = lua.Type(200)

// testModule is what the runner of one file asks for. Its functions are called in actors; what takes time is left to testFile.serve, as events.
type testModule struct {
	file *testFile
	sys  *actor.System // set before the runner is launched
	news chan struct{} // there are events

	mu     sync.Mutex
	queue  []testEvent
	runner actor.Ref
	mocks  map[string]*mocked
	kept   map[actor.Ref]bool // services that were there when the test began
	ending []<-chan struct{}  // of mocks that have been ended
}

// testEvent is something that the runner wants.
type testEvent struct {
	what   string
	id     int64  // of the wait that it ends
	name   string // of the test that begins
	d      time.Duration
	result testResult
}

// mocked is a service that stands in for another one.
type mocked struct {
	id  int64
	ref actor.Ref
}

func newTestModule(f *testFile) *testModule {
	return &testModule{file: f, news: make(chan struct{}, 1), mocks: map[string]*mocked{}}
}

// open pushes the module.
func (m *testModule) open(h *lua.Host, s vm.State) {
	funcs := map[string]vm.Func{
		"wanted":  m.wanted,
		"begin":   m.begin,
		"result":  m.result,
		"done":    func(vm.State) int { m.tell(testEvent{what: "done"}); return 0 },
		"advance": m.advance,
		"freeze":  func(vm.State) int { m.file.clock.Freeze(); return 0 },
		"thaw":    func(vm.State) int { m.file.clock.Thaw(); return 0 },
		"clear":   m.askClear,
		"mock":    func(s vm.State) int { return m.mock(h, s) },
		"unmock":  m.unmock,
	}
	s.NewTable(0, len(funcs)+1)
	for name, f := range funcs {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
	s.PushInt(int64(testType))
	s.SetField(-2, "type")
}

func (m *testModule) tell(ev testEvent) {
	m.mu.Lock()
	m.queue = append(m.queue, ev)
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// events takes what has happened.
func (m *testModule) events() []testEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	evs := m.queue
	m.queue = nil
	return evs
}

// start is told who the runner is.
func (m *testModule) start(runner actor.Ref) {
	m.mu.Lock()
	m.runner = runner
	m.mu.Unlock()
}

// wanted tells whether --run has a test of that name.
func (m *testModule) wanted(s vm.State) int {
	name, _ := s.String(1)
	s.PushBool(m.file.wanted.MatchString(m.file.module() + ": " + name))
	return 1
}

// begin is called before each test: number of the wait, name.
func (m *testModule) begin(s vm.State) int {
	id, _ := s.Int(1)
	name, _ := s.String(2)
	kept := m.services()
	m.mu.Lock()
	m.kept = kept
	m.mu.Unlock()
	m.tell(testEvent{what: "begin", id: id, name: name})
	return 0
}

// result is called behind each test: name, status, text, seconds.
func (m *testModule) result(s vm.State) int {
	var r testResult
	r.name, _ = s.String(1)
	status, _ := s.String(2)
	r.status = testStatus(status)
	r.text, _ = s.String(3)
	seconds, _ := s.Float(4)
	r.took = time.Duration(seconds * float64(time.Second))
	m.tell(testEvent{what: "result", result: r})
	return 0
}

// advance asks for time to pass: number of the wait, 1/100 s.
func (m *testModule) advance(s vm.State) int {
	id, _ := s.Int(1)
	cs, ok := s.Float(2)
	const longest = float64(100*365*24*time.Hour) / float64(10*time.Millisecond)
	if !ok || cs < 0 || cs > longest {
		s.Errorf("time.advance: a time in 1/100 s is expected, from 0 to that of 100 years")
	}
	m.tell(testEvent{what: "advance", id: id, d: time.Duration(cs * float64(10*time.Millisecond))})
	return 0
}

// askClear asks for the end of what a test has left behind: number of the wait.
func (m *testModule) askClear(s vm.State) int {
	id, _ := s.Int(1)
	m.tell(testEvent{what: "clear", id: id})
	return 0
}

// services are the children of the node's launcher.
func (m *testModule) services() map[actor.Ref]bool {
	launcher, _ := m.sys.Lookup(realLauncher)
	all := map[actor.Ref]bool{}
	for info := range m.sys.Actors() {
		if info.Parent == launcher {
			all[info.Ref] = true
		}
	}
	return all
}

// clear ends the services that have been started since the test began, and waits for that, and for the end of its mocks.
func (m *testModule) clear(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	m.mu.Lock()
	kept, ends := m.kept, m.ending
	m.ending = nil
	m.mu.Unlock()
	for ref := range m.services() {
		if !kept[ref] {
			m.sys.Stop(ref, nil)
			ends = append(ends, m.sys.Ended(ref))
		}
	}
	for _, ended := range ends {
		select {
		case <-ended:
		case <-limit.Done():
			return
		}
	}
}

// mock makes a service that passes all that it gets on to the runner: number of the mock, name. It gives the service's address.
func (m *testModule) mock(h *lua.Host, s vm.State) int {
	id, _ := s.Int(1)
	name, ok := s.String(2)
	name = strings.TrimPrefix(name, ".")
	if !ok || name == "" {
		s.Errorf("mock: the name of a service is expected, got %s", s.Type(2))
	}
	m.mu.Lock()
	taken := m.mocks[name] != nil
	m.mu.Unlock()
	if taken {
		s.Errorf("mock: there is a mock of %q already", name)
	}
	if slices.Contains([]string{lua.LauncherName, realLauncher}, name) {
		s.Errorf("mock: %q can't be mocked", name)
	}
	runner := h.Context().Self()
	ref, err := h.Context().Spawn(actor.Spec{New: func() actor.Actor { return &mockActor{id: id, runner: runner} }})
	if err != nil {
		s.Errorf("mock: %s", err.Error())
	}
	if err := m.sys.Register(name, ref); err != nil {
		m.sys.Stop(ref, nil)
		s.Errorf("mock: the name %q belongs to a service that runs: %s", name, err.Error())
	}
	m.mu.Lock()
	m.mocks[name] = &mocked{id, ref}
	m.mu.Unlock()
	s.PushInt(int64(ref.ID()))
	return 1
}

// unmock ends the mock of that number.
func (m *testModule) unmock(s vm.State) int {
	id, _ := s.Int(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, mock := range m.mocks {
		if mock.id == id {
			delete(m.mocks, name)
			m.ending = append(m.ending, m.sys.Ended(mock.ref)) // until then it has its name
			m.sys.Stop(mock.ref, nil)
		}
	}
	return 0
}

func (m *testModule) mockOf(script string) (actor.Ref, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if mock := m.mocks[script]; mock != nil {
		return mock.ref, true
	}
	return actor.Ref{}, false
}

// realLauncher is the name of the node's launcher while a mockLauncher has its own.
const realLauncher = "skua.test.launcher"

// launchers are the node's launcher, and one in front of it that knows the mocks.
func (m *testModule) launchers(spec actor.Spec) []actor.Spec {
	spec.Name = realLauncher
	return []actor.Spec{spec, {Name: lua.LauncherName, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if launch, ok := msg.(lua.Launch); ok {
				if ref, ok := m.mockOf(launch.Script); ok {
					c.Reply(ref, nil)
					return
				}
			}
			node, ok := c.System().Lookup(realLauncher)
			if !ok {
				c.Reply(nil, errors.New("test: the node's launcher has ended"))
				return
			}
			c.Forward(node)
		})
	}}}
}

// mockActor stands in for a service.
type mockActor struct {
	id     int64
	runner actor.Ref
}

// Receive passes messages on to the handlers, which the runner has, and their answers back.
func (a *mockActor) Receive(c *actor.Context, msg any) {
	m, ok := msg.(lua.Message)
	if !ok {
		c.Reply(nil, fmt.Errorf("test: a mock takes no %T", msg))
		return
	}
	passed := lua.Message{Type: testType, Args: mockArgs(a.id, m)}
	if !c.IsRequest() {
		c.Send(a.runner, passed)
		return
	}
	c.Ask(a.runner, passed, c.Reply)
}

// mockArgs are the message's arguments behind the number of the mock.
func mockArgs(id int64, m lua.Message) value.List {
	var b value.Builder
	b.String("mock")
	b.Int(id)
	for _, v := range m.Args.All {
		b.Value(v)
	}
	return b.List()
}
