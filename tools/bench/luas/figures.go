package luas

import "github.com/skua-go/skua/tools/bench/measure"

// IdleBytes is bytes of resident memory a service that has handled one message, with 10,000 of them.
func (s Suite) IdleBytes() measure.Func { return s.child("idle-bytes") }

// AgentBytes is bytes of resident memory an agent of a script of some 300 lines, with 10,000 of them that share VMs.
func (s Suite) AgentBytes() measure.Func { return s.child("shared-agent-bytes") }

// KilledBytes is bytes of resident memory a service that are left of 10,000 when they have been killed, a minute later at most.
func (s Suite) KilledBytes() measure.Func { return s.child("killed-bytes") }

// TimerBytes is bytes of resident memory a timer, with 100,000 of them in one service.
func (s Suite) TimerBytes() measure.Func { return s.child("timer-bytes") }

// WaitBytes is bytes of resident memory a handler that waits in skynet.call, with 10,000 of them in one service.
func (s Suite) WaitBytes() measure.Func { return s.child("wait-bytes") }

// SleepBytes is the same for skynet.sleep.
func (s Suite) SleepBytes() measure.Func { return s.child("sleep-bytes") }

func (s Suite) child(name string) measure.Func { return measure.InChild("lua/" + name + s.suffix) }

// Figures are what is measured in a process of its own.
func (s Suite) Figures() map[string]measure.Func {
	figures := map[string]measure.Func{}
	for name, f := range map[string]measure.Func{
		"idle-bytes": s.idleBytes, "shared-agent-bytes": s.agentBytes, "killed-bytes": s.killedBytes,
		reloadName("10000-agents", false): s.reloadTime(false), reloadName("10000-agents", true): s.reloadTime(true),
		reloadName("handler-delay-p99", false): s.reloadDelay(false), reloadName("handler-delay-p99", true): s.reloadDelay(true),
		"timer-bytes": s.timerBytes, "wait-bytes": s.waitBytes, "sleep-bytes": s.sleepBytes,
	} {
		figures["lua/"+name+s.suffix] = f
	}
	return figures
}

// Figures are those of all engines.
func Figures() map[string]measure.Func {
	all := Default().Figures()
	for name, f := range Gopher().Figures() {
		all[name] = f
	}
	return all
}
