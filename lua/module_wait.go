package lua

import "github.com/skua-go/skua/lua/vm"

// Wait is a coroutine of a service that a module in Go lets wait. The zero Wait is nobody's.
type Wait struct {
	co   *coroutine
	id   int64
	wake func()
}

// Wait prepares the running coroutine to wait for something outside of the service. The function that Lua has called hands the Wait to whoever ends it, and
// returns s.Yield(0). When it is woken, push puts the results of that function onto the coroutine's stack and returns how many there are; it runs in the
// service's actor, as part of the request that the coroutine handles, and must not raise an error. what names the function where no wait is possible, which
// is an error of the script: Wait does not return then.
func (h *Host) Wait(s vm.State, what string, push func(s vm.State) int) Wait {
	h = h.active()
	co := h.beginWait(s, waitModule, what)
	id := co.wait.id
	return Wait{co: co, id: id, wake: h.c.Resume(func() {
		if co.wait.id == id {
			h.dropWait(co)
			h.resume(co, push(co.th), false)
		}
		h.runNext()
	})}
}

// Wake ends the wait. Any goroutine may call it, any number of times: the first counts, and none does once the service has ended. It does not block.
func (w Wait) Wake() {
	if w.wake != nil {
		w.wake()
	}
}

// Open tells whether the coroutine waits still: it has not been woken, and the engine was able to yield. Only the service's actor may call it.
func (w Wait) Open() bool { return w.co != nil && w.co.wait.id == w.id }

// Fork runs a function of the script in a coroutine of its own, as part of no request, right behind the message or continuation that is being handled: push
// puts the function and its arguments onto the coroutine's stack, and returns how many arguments there are. Only the service's actor may call it.
func (h *Host) Fork(push func(s vm.State) int) {
	h = h.active()
	co := h.coroutine()
	co.job.push = push
	h.forks.add(begun{co: co, life: co.life})
}

// Post makes a function that any goroutine may call, any number of times: f then runs in the service's actor, as part of no request, and what it forks right
// behind it. It does nothing once the service has ended, and does not block.
func (h *Host) Post(f func()) func() {
	h = h.active()
	var post func()
	h.c.Detached(func() {
		post = h.c.Resume(func() {
			f()
			h.runNext()
		})
	})
	return post
}
