package actors

import "github.com/skua-go/skua/tools/bench/measure"

// IdleBytes is bytes of resident memory an actor that has handled one message, with a million of them.
func IdleBytes() measure.Func { return measure.InChild("idle-bytes") }

// IdleBytesOfFew is the same with a quarter of a million, for the comparison with a peer that takes its time to make more.
func IdleBytesOfFew() measure.Func { return measure.InChild("idle-bytes-250k") }

// TimerBytes is bytes of resident memory a timer, with a million of them in one actor.
func TimerBytes() measure.Func { return measure.InChild("timer-bytes") }

// TimerIdleCPU is per cents of a core for a million timers of which none is due.
func TimerIdleCPU() measure.Func { return measure.InChild("timer-idle-cpu") }

// Figures are what is measured in a process of its own.
func Figures() map[string]measure.Func {
	return map[string]measure.Func{
		"idle-bytes": idleBytes(1_000_000), "idle-bytes-250k": idleBytes(250_000),
		"timer-bytes": timerBytes, "timer-idle-cpu": timerIdleCPU,
	}
}
