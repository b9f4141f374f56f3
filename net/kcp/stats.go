package kcp

import "sync/atomic"

// Stats counts what listeners do. The zero value is ready. Its methods may be called from any goroutine.
type Stats struct {
	sessions, raw                        atomic.Int64
	accepted                             atomic.Uint64
	hellos, cookies, connects, badCookie atomic.Uint64
	refused                              [refusedClosing + 1]atomic.Uint64
	datagramsIn, bytesIn                 atomic.Uint64
	datagramsOut, bytesOut               atomic.Uint64
	droppedOut, sendErrors               atomic.Uint64
	malformed, undecryptable             atomic.Uint64
	unknown, foreign, resets             atomic.Uint64
	challenges, roams, badProof          atomic.Uint64
	forged                               atomic.Uint64
	resent, lost, recovered, repeated    atomic.Uint64
	ended                                [endedReasons]atomic.Uint64
}

// Why sessions end.
const (
	endedClosed  = iota // this end closed it
	endedPeer           // the peer said that it goes
	endedSilence        // nothing was heard
	endedDead           // nothing was acknowledged
	endedReasons
)

// Snapshot is what Stats held at one moment. Totals count from the start and never fall; Sessions and Raw are of now.
type Snapshot struct {
	Sessions int64 // that are open, or are still delivering what was written before they were closed
	Raw      int64 // of them, those without a handshake
	Accepted uint64
	Ended    map[string]uint64 // sessions by reason: "closed" (here), "peer", "silence", "dead"

	Hellos    uint64 // that asked for a cookie
	Cookies   uint64 // that were given
	Connects  uint64 // that brought a good one, repeated ones included
	BadCookie uint64 // that brought a bad or old one
	// Refused is clients by reason: "full", "prefix", "backlog", "version", "closing".
	Refused map[string]uint64

	DatagramsIn, BytesIn   uint64
	DatagramsOut, BytesOut uint64
	DroppedOut             uint64 // datagrams that found the sockets' queue full; KCP repeats them
	SendErrors             uint64 // datagrams that the system refused
	Malformed              uint64 // datagrams that are nothing of ours
	Undecryptable          uint64 // datagrams that the key does not fit, or that were damaged
	Unknown                uint64 // datagrams of unknown conversations
	Foreign                uint64 // datagrams of known ones from other addresses, which were not delivered
	Resets                 uint64 // answers to unknown ones
	Challenges             uint64 // sent to new addresses
	Roams                  uint64 // sessions that have moved to one
	BadProof               uint64 // answers to challenges that were wrong or too old
	Forged                 uint64 // control datagrams with a wrong signature

	Resent    uint64 // segments sent again
	Lost      uint64 // of them, those that timed out
	Recovered uint64 // datagrams that FEC made
	Repeated  uint64 // segments that went along with newer ones once more, as of Config.Repeat
}

// Snapshot returns the counters. The maps are the caller's.
func (s *Stats) Snapshot() Snapshot {
	out := Snapshot{
		Sessions: s.sessions.Load(), Raw: s.raw.Load(), Accepted: s.accepted.Load(),
		Hellos: s.hellos.Load(), Cookies: s.cookies.Load(), Connects: s.connects.Load(), BadCookie: s.badCookie.Load(),
		DatagramsIn: s.datagramsIn.Load(), BytesIn: s.bytesIn.Load(), DatagramsOut: s.datagramsOut.Load(), BytesOut: s.bytesOut.Load(),
		DroppedOut: s.droppedOut.Load(), SendErrors: s.sendErrors.Load(), Malformed: s.malformed.Load(), Undecryptable: s.undecryptable.Load(),
		Unknown: s.unknown.Load(), Foreign: s.foreign.Load(), Resets: s.resets.Load(),
		Challenges: s.challenges.Load(), Roams: s.roams.Load(), BadProof: s.badProof.Load(), Forged: s.forged.Load(),
		Resent: s.resent.Load(), Lost: s.lost.Load(), Recovered: s.recovered.Load(), Repeated: s.repeated.Load(),
		Refused: make(map[string]uint64), Ended: make(map[string]uint64),
	}
	for i, name := range []string{endedClosed: "closed", endedPeer: "peer", endedSilence: "silence", endedDead: "dead"} {
		out.Ended[name] = s.ended[i].Load()
	}
	for why := byte(refusedFull); why <= refusedClosing; why++ {
		out.Refused[refusal(why)] = s.refused[why].Load()
	}
	return out
}

// refusal names a reason.
func refusal(why byte) string {
	switch why {
	case refusedFull:
		return "full"
	case refusedPrefix:
		return "prefix"
	case refusedBacklog:
		return "backlog"
	case refusedVersion:
		return "version"
	case refusedClosing:
		return "closing"
	}
	return "unknown"
}
