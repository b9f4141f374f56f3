package lua

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

func (h *Host) apiSelf(s vm.State) int {
	s.PushInt(int64(h.c.Self().ID()))
	return 1
}

// apiAddress shows an address as people read it.
func (h *Host) apiAddress(s vm.State) int {
	if id, ok := s.Int(1); ok {
		s.PushString(fmt.Sprintf(":%08x", id))
	} else {
		s.PushString(s.Text(1))
	}
	return 1
}

// apiLocalName gives the address of a name, or nil.
func (h *Host) apiLocalName(s vm.State) int {
	name, _ := s.String(1)
	ref, ok := h.c.System().Lookup(strings.TrimPrefix(name, "."))
	if !ok {
		return 0
	}
	s.PushInt(int64(ref.ID()))
	return 1
}

// apiHarbor gives the number of the node in Skynet's old network, which is always 0 here, and whether it is another one.
func (h *Host) apiHarbor(s vm.State) int {
	h.address(s, 1)
	s.PushInt(0)
	s.PushBool(false)
	return 2
}

// apiStart keeps the function that begins the service's work.
func (h *Host) apiStart(s vm.State) int {
	checkFunction(s, 1, "skynet.start")
	s.SetTop(1)
	h.setStart(s, "skynet.start")
	return 0
}

// setStart pops the function.
func (h *Host) setStart(s vm.State, what string) {
	if h.start != 0 {
		s.Errorf("%s: the service has its start function already", what)
	}
	h.start = s.Ref()
}

// innerBegun keeps the function that runs what skynet.init was given.
func (h *Host) innerBegun(s vm.State) int {
	s.SetTop(1)
	h.begins = s.Ref()
	return 0
}

// innerReady tells how skynet.init_service went: ready(true), or ready(false, message, traceback).
func (h *Host) innerReady(s vm.State) int {
	if s.Bool(1) {
		h.started(nil)
		return 0
	}
	traceback, _ := s.String(3)
	h.started(&Error{Script: h.script, Message: s.Text(2), Traceback: traceback})
	return 0
}

// apiExit ends the service behind the present message; the coroutine that calls it does not go on.
func (h *Host) apiExit(s vm.State) int {
	h.leave()
	if h.cur == nil {
		return 0
	}
	h.beginWait(s, waitEver, "skynet.exit")
	return s.Yield(0)
}

// apiNow is the time in 1/100 s since the runtime started.
func (h *Host) apiNow(s vm.State) int {
	s.PushInt(int64(h.c.System().Now().Sub(h.rt.started) / (10 * time.Millisecond)))
	return 1
}

func (h *Host) apiTime(s vm.State) int {
	s.PushFloat(float64(h.c.System().Now().UnixMilli()/10) / 100)
	return 1
}

func (h *Host) apiStartTime(s vm.State) int {
	s.PushInt(h.rt.started.Unix())
	return 1
}

func (h *Host) apiHPC(s vm.State) int {
	s.PushInt(time.Since(h.rt.started).Nanoseconds())
	return 1
}

func (h *Host) apiGetenv(s vm.State) int {
	key, _ := s.String(1)
	if v, ok := h.rt.getenv(key); ok {
		s.PushString(v)
		return 1
	}
	return 0
}

func (h *Host) apiSetenv(s vm.State) int {
	key, ok := s.String(1)
	if !ok || s.Type(2) == vm.None || s.Type(2) == vm.Nil {
		s.Errorf("skynet.setenv: a name and a value are expected")
	}
	if err := h.rt.setenv(key, s.Text(2)); err != nil {
		s.Errorf("%s", err.Error())
	}
	return 0
}

// apiError writes a line to the log.
func (h *Host) apiError(s vm.State) int {
	s.Spend(lineCost)
	h.log.Info(joined(s, 1, " "))
	return 0
}

// apiMqlen is how many messages wait for this service.
func (h *Host) apiMqlen(s vm.State) int {
	s.PushInt(int64(h.c.Waiting()))
	return 1
}

func (h *Host) info() actor.Info {
	info, _ := h.c.System().Inspect(h.c.Self())
	return info
}

// apiStat gives a figure of this service: mqlen, message (how many it has handled), cpu (seconds), time (seconds of the running handler), endless (0 or 1).
func (h *Host) apiStat(s vm.State) int {
	what, _ := s.String(1)
	info := h.info()
	switch what {
	case "mqlen":
		s.PushInt(int64(h.c.Waiting()))
	case "message":
		s.PushInt(int64(info.Processed))
	case "cpu":
		s.PushFloat(info.Busy.Seconds())
	case "time":
		ran := time.Duration(0)
		if !h.began.IsZero() {
			ran = time.Since(h.began)
		}
		s.PushFloat(ran.Seconds())
	case "endless":
		n := int64(0)
		if h.endless() {
			n = 1
		}
		s.PushInt(n)
	default:
		s.Errorf("skynet.stat: mqlen, message, cpu, time or endless is expected, got %q", s.Text(1))
	}
	return 1
}

// endless tells whether a handler has exceeded its budget since it was last asked.
func (h *Host) endless() bool {
	was := h.overran
	h.overran = false
	return was
}

func (h *Host) apiEndless(s vm.State) int {
	s.PushBool(h.endless())
	return 1
}

// apiMemLimit bounds the memory of this service's VM, in bytes, once and before skynet.start.
func (h *Host) apiMemLimit(s vm.State) int {
	n, ok := s.Int(1)
	if f, isFloat := s.Float(1); !ok && isFloat && f > 0 && f < math.MaxInt64 {
		n, ok = int64(f), true
	}
	if !ok || n <= 0 {
		s.Errorf("skynet.memlimit: a number of bytes is expected, got %s", s.Text(1))
	}
	switch {
	case h.ready || h.starter != nil:
		s.Errorf("skynet.memlimit: the limit has to be set before the service starts")
	case h.limited:
		s.Errorf("skynet.memlimit: the limit can be set once only")
	}
	h.memlimit(s, n)
	h.limited = true
	return 0
}

// innerMemory is how many bytes the VM takes, as far as the engine can tell.
func (h *Host) innerMemory(s vm.State) int {
	s.PushInt(h.vm.Memory())
	return 1
}
