// Package record writes down what an actor was sent, and sends it to another one later: a bug that happened once, in production or in a long test, becomes
// a test.
//
//	types := record.Types(Deposit{}, Withdraw{}, Balance{})
//
//	rec, err := record.Start(sys, bank, file, types) // from now on
//	...
//	err = rec.Close() // or the actor ends
//
// and in a test, in fake time (see package actortest):
//
//	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
//		bank := k.Spawn(actor.Spec{New: func() actor.Actor { return &Bank{} }})
//		played, err := record.Replay(t.Context(), k.System, bank, file, types, record.Options{Pauses: true})
//		...
//		for _, a := range played.Answers {
//			t.Log(a.Entry.At, a.Entry.Message, a.Value, a.Err)
//		}
//	})
//
// What is recorded is what [actor.System.Tap] shows: messages and requests, and actor.Terminated. Not recorded are what the actor did before, its timers,
// which it will set again, and the answers to what it asked: in a test, probes with the names of the services give these. So an actor does the same again if
// it is told the same by those, and what it does depends on nothing else. A recording is best begun when the actor is, and replayed in a system that is as
// fresh: timers go off at whole milliseconds since the system was made.
//
// # The file
//
// A recording is text, one JSON object a line, so that grep, jq and people can read it:
//
//	{"recording":1,"actor":"bank","address":"skua:01000002","began":"2026-03-01T12:00:00Z"}
//	{"at":15000,"from":"skua:01000003","type":"bank.Deposit","message":{"Amount":5}}
//	{"at":15212,"request":true,"type":"bank.Balance","message":{}}
//	{"at":16000,"type":"bank.audit","error":"record: type is not registered"}
//	{"at":20000,"end":"closed","messages":3}
//
// "at" is in microseconds since "began"; a message without "from" came from outside of all actors; "own" marks what the actor, or a child of it, sent to it.
// A file without its last line was cut short: [Recording.Entries] and [Replay] say so, after all that is there.
//
// # Types
//
// A message comes back as the Go type that it was, with all 64 bits of its integers, or it is not recorded and the line says why: [Types] refuses types of
// which JSON would lose something, and where only the message can tell, it is read back when it is written, off the actor. A type with another form gets a
// codec with [Add]. Messages of scripts need none: Types(lua.Message{}).
//
// # Costs
//
// The actor does no more than look who sent a message and put it into a queue. If the writer can't follow and the queue is full, the recording ends, and Close
// and the log say so; the actor never waits. Messages are written as soon as they are encoded, more than 100,000 a second, so a program that is killed loses
// what is in that queue and the rest of a line, which Read finds. A recording has all that was sent, passwords and names of people too, as text: keep it
// where such things may be.
package record
