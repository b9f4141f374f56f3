package lua

import (
	"maps"
	"slices"

	"github.com/skua-go/skua/lua/lib/pack"
	"github.com/skua-go/skua/lua/vm"
)

// verb is a function of the module skynet. It is a function of its host and no closure: a service has a closure of those only that it uses.
type verb func(h *Host, s vm.State) int

// skynetVerbs are the functions of require "skynet" that are written in Go.
func skynetVerbs() map[string]verb {
	return map[string]verb{
		"call": (*Host).apiCall, "call_timeout": (*Host).apiCallTimeout, "send": (*Host).apiSend,
		"rawcall": (*Host).apiRawCall, "rawsend": (*Host).apiRawSend, "redirect": (*Host).apiRedirect,
		"ret": (*Host).apiRet, "retpack": (*Host).apiRetPack, "response": (*Host).apiResponse, "ignoreret": (*Host).apiIgnoreRet,
		"context": (*Host).apiContext, "genid": (*Host).apiGenID,
		"register_protocol": (*Host).apiRegisterProtocol, "dispatch": (*Host).apiDispatch, "dispatch_message": (*Host).apiDispatchMessage,
		"dispatch_unknown_request": (*Host).apiUnknownRequest, "dispatch_unknown_response": (*Host).apiUnknownResponse,
		"pack": (*Host).apiPack, "packstring": (*Host).apiPackString, "unpack": (*Host).apiUnpack,
		"tostring": (*Host).apiToString, "trash": (*Host).apiTrash,
		"start": (*Host).apiStart, "exit": (*Host).apiExit,
		"newservice": (*Host).apiNewService, "uniqueservice": (*Host).apiUniqueService, "queryservice": (*Host).apiQueryService,
		"fork": (*Host).apiFork, "timeout": (*Host).apiTimeout, "sleep": (*Host).apiSleep, "yield": (*Host).apiYield,
		"wait": (*Host).apiWait, "wakeup": (*Host).apiWakeup,
		"self": (*Host).apiSelf, "address": (*Host).apiAddress, "localname": (*Host).apiLocalName, "harbor": (*Host).apiHarbor,
		"now": (*Host).apiNow, "time": (*Host).apiTime, "starttime": (*Host).apiStartTime, "hpc": (*Host).apiHPC,
		"getenv": (*Host).apiGetenv, "setenv": (*Host).apiSetenv, "error": (*Host).apiError,
		"mqlen": (*Host).apiMqlen, "stat": (*Host).apiStat, "endless": (*Host).apiEndless,
		"task": (*Host).apiTask, "uniqtask": (*Host).apiUniqTask, "term": (*Host).apiTerm, "memlimit": (*Host).apiMemLimit,
		"trace": (*Host).apiTrace, "tracetag": (*Host).apiTraceTag, "tracelog": (*Host).apiTraceLog, "tracecall": (*Host).apiTraceCall,
		"traceproto": (*Host).apiTraceProto, "trace_timeout": (*Host).apiTraceTimeout,
	}
}

// managerVerbs are those of require "skynet.manager".
func managerVerbs() map[string]verb {
	return map[string]verb{
		"launch": (*Host).apiLaunch, "kill": (*Host).apiKill, "abort": (*Host).apiAbort,
		"register": (*Host).apiRegister, "name": (*Host).apiName,
		"forward_type": (*Host).apiForwardType, "filter": (*Host).apiFilter, "monitor": (*Host).apiMonitor,
	}
}

// scriptVerbs are the functions of require "skynet" that are written in Lua, and the modules that return them.
var scriptVerbs = map[string]string{ //nolint:gochecknoglobals // a constant
	"request": "skynet.request", "killthread": "skynet.killthread", "init": "skynet.init", "init_service": "skynet.init",
	"info_func": "skynet.debug", "cache": "skynet.codecache",
}

// ptypes are the constants.
var ptypes = map[string]Type{ //nolint:gochecknoglobals // a constant
	"PTYPE_TEXT": TypeText, "PTYPE_RESPONSE": TypeResponse, "PTYPE_MULTICAST": TypeMulticast, "PTYPE_CLIENT": TypeClient, "PTYPE_SYSTEM": TypeSystem,
	"PTYPE_HARBOR": TypeHarbor, "PTYPE_SOCKET": TypeSocket, "PTYPE_ERROR": TypeError, "PTYPE_QUEUE": TypeQueue, "PTYPE_DEBUG": TypeDebug,
	"PTYPE_LUA": TypeLua, "PTYPE_SNAX": TypeSnax, "PTYPE_TRACE": TypeTrace,
}

// innerVerbs are what the scripts of the library need beside them: functions of require "skynet.core".
func innerVerbs() map[string]verb {
	return map[string]verb{
		"ask": (*Host).innerAsk, "cancel": (*Host).innerCancel, "arrived": (*Host).innerArrived,
		"stop_thread": (*Host).innerStopThread, "ready": (*Host).innerReady, "begun": (*Host).innerBegun, "handler": (*Host).innerHandler,
		"load_file": (*Host).innerLoadFile, "function_text": (*Host).innerFunctionText, "memory": (*Host).innerMemory,
		"unique": (*Host).innerUnique, "close_unique": (*Host).innerCloseUnique, "profile_start": (*Host).innerProfileStart, "profile_stop": (*Host).innerProfileStop,
		"script_text": (*Host).innerScriptText, "functions": (*Host).innerFunctions, "upvalue": (*Host).innerUpvalue, "set_upvalue": (*Host).innerSetUpvalue,
		"join_upvalue": (*Host).innerJoinUpvalue, "same_upvalue": (*Host).innerSameUpvalue, "same_source": (*Host).innerSameSource,
	}
}

// api is what scripts find in skynet and skynet.core, by name.
type api struct{ skynet, manager, inner map[string]verb }

func newAPI() api { return api{skynetVerbs(), managerVerbs(), innerVerbs()} }

// names lists what require "skynet" and require "skynet.manager" have, sorted.
func (a api) names() []string {
	names := slices.AppendSeq([]string{"pcall"}, maps.Keys(a.skynet))
	names = slices.AppendSeq(names, maps.Keys(a.manager))
	names = slices.AppendSeq(names, maps.Keys(scriptVerbs))
	names = slices.AppendSeq(names, maps.Keys(ptypes))
	slices.Sort(names)
	return names
}

// API lists what require "skynet" and require "skynet.manager" have, sorted: for checks of scripts and of documentation.
func API() []string { return newAPI().names() }

// openCore pushes the module skynet.core: the table that scripts/skynet.lua makes the module skynet of. Functions get into the tables when they are
// first asked for, since most services use few of them.
func (h *Host) openCore(s vm.State) int {
	h.pushLazy(s, func(s vm.State, name string) bool {
		f, ok := h.rt.api.inner[name]
		if !ok {
			return false
		}
		h.pushVerb(s, name, f)
		return true
	})
	h.pushLazy(s, h.pushAPI)
	s.Metatable(-1)
	h.pushVerb(s, "__pairs", (*Host).pairsOfAPI)
	s.SetField(-2, "__pairs")
	s.Pop(1)
	s.Copy(-1)
	h.skynet = s.Ref()
	s.SetField(-2, "skynet")
	s.Push(h.requiring)
	s.SetField(-2, "requiring")
	s.PushFunc("manage", func(s vm.State) int {
		h.manages = true
		return 0
	})
	s.SetField(-2, "manage")
	return 1
}

// pushLazy pushes a table whose fields find pushes when they are first read.
func (h *Host) pushLazy(s vm.State, find func(s vm.State, name string) bool) {
	s.NewTable(0, 0)
	s.NewTable(0, 1)
	s.PushFunc("__index", func(s vm.State) int {
		name, ok := s.String(2)
		if !ok {
			return 0
		}
		if !find(s, name) {
			return 0
		}
		s.PushString(name)
		s.Copy(-2)
		s.RawSet(1)
		return 1
	})
	s.SetField(-2, "__index")
	s.SetMetatable(-2)
}

// pairsOfAPI is pairs of the module skynet: it gets all that it has.
func (h *Host) pairsOfAPI(s vm.State) int {
	for _, name := range h.rt.api.names() {
		s.PushString(name)
		s.Index(1)
		s.Pop(1)
	}
	s.SetTop(1)
	s.Global("next")
	s.Insert(1)
	return 2
}

func (h *Host) pushVerb(s vm.State, name string, f verb) {
	c := h.cell
	s.PushFunc(name, func(s vm.State) int { return f(c.now, s) })
}

// pushAPI pushes what the module skynet has under a name, if there is something.
func (h *Host) pushAPI(s vm.State, name string) bool {
	if f, ok := h.rt.api.skynet[name]; ok {
		h.pushVerb(s, name, f)
		h.keepPack(s, name)
		return true
	}
	if f, ok := h.rt.api.manager[name]; ok && h.manages {
		h.pushVerb(s, name, f)
		return true
	}
	if t, ok := ptypes[name]; ok {
		s.PushInt(int64(t))
		return true
	}
	if name == "pcall" {
		s.Global(name)
		return true
	}
	module, ok := scriptVerbs[name]
	if !ok {
		return false
	}
	s.Push(h.require)
	s.PushString(module)
	s.Call(1, 1)
	if s.Type(-1) == vm.Table && name != "cache" {
		s.Field(-1, name)
		s.Remove(-2)
	}
	return true
}

// keepPack remembers the functions that registered protocols are compared with.
func (h *Host) keepPack(s vm.State, name string) {
	switch name {
	case "pack":
		s.Copy(-1)
		h.packRef = s.Ref()
	case "unpack":
		s.Copy(-1)
		h.unpackRef = s.Ref()
	}
}

// The functions of package pack.

func (h *Host) apiPack(s vm.State) int { return lists.Pack(s) }

func (h *Host) apiPackString(s vm.State) int { return pack.PackString(s) }

func (h *Host) apiUnpack(s vm.State) int { return lists.Unpack(s) }

func (h *Host) apiToString(s vm.State) int { return pack.ToString(s) }

func (h *Host) apiTrash(vm.State) int { return 0 }
