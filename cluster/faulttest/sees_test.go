//go:build linux

package faulttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/topics"
)

// told is an oracle that was told so by the processes of two nodes. A line's life is before the slash of who it is of.
func told(t *testing.T, lines ...line) *oracle {
	t.Helper()
	o := newOracle(t)
	lives := map[string]*process{}
	for _, l := range lines {
		life, _, _ := strings.Cut(l.Who, "/")
		if lives[life] == nil {
			lives[life] = &process{pipe: &pipe{out: io.Discard}, life: life}
		}
		o.take(lives[life], l)
	}
	return o
}

// sees wants the oracle to have found exactly one fault that says so, or none if what is empty.
func (o *oracle) sees(name, what string) {
	o.t.Helper()
	switch faults := o.found(); {
	case what == "" && len(faults) > 0:
		o.t.Errorf("%s: found %q, expected that nothing is wrong", name, faults)
	case what != "" && (len(faults) != 1 || !strings.Contains(faults[0], what)):
		o.t.Errorf("%s: found %q, expected one that says %q", name, faults, what)
	}
}

var lockX = lease.Key(lease.Lock, "x")

// of is what a client does with a lock in a time.
func of(who, kind string, epoch uint64, call, ret int64) line {
	return line{Kind: kind, Who: who, Key: lockX, Epoch: epoch, Call: call, Ret: ret}
}

func TestTheOracleSeesWhatLocksMustNotDo(t *testing.T) {
	const a, b = "n0#1/0", "n1#2/0"
	for _, h := range []struct {
		name, fault string
		lines       []line
	}{
		{"one after the other", "", []line{
			of(a, saysLock, 1, 0, 1), of(a, saysUse, 1, 2, 3), of(a, saysUnlock, 1, 3, 5), of(b, saysLock, 2, 4, 6), of(b, saysUse, 2, 7, 8), of(b, saysUnlock, 2, 8, 9),
		}},
		{"two at once", "not linearizable", []line{
			of(a, saysLock, 1, 0, 1), of(b, saysLock, 2, 2, 3), of(a, saysUse, 1, 4, 5), of(a, saysUnlock, 1, 5, 6), of(b, saysUnlock, 2, 7, 8),
		}},
		{"an epoch that falls", "not linearizable", []line{
			of(a, saysLock, 2, 0, 1), of(a, saysUnlock, 2, 1, 2), of(b, saysLock, 1, 3, 4), of(b, saysUnlock, 1, 4, 5),
		}},
		{"one that is never given back", "held by nobody", []line{of(a, saysLock, 1, 0, 1)}},
	} {
		o := told(t, h.lines...)
		o.checkLocks(map[string]uint64{}, true)
		o.sees(h.name, h.fault)
	}
	o := told(t, of(a, saysLock, 1, 0, 1), of(a, saysUnlock, 1, 1, 2), of(b, saysLock, 1, 3, 4), of(b, saysUnlock, 1, 4, 5))
	o.checkLocks(map[string]uint64{}, false)
	o.sees("one epoch for two", "has one epoch")
}

func TestTheOracleTakesWhatADeadProcessHeldForGivenBack(t *testing.T) {
	now := clock()
	o := told(t, of("n0#1/0", saysLock, 1, now, now+1))
	o.died("n0#1", false)
	later := clock()
	o.take(&process{life: "n1#2"}, of("n1#2/0", saysLock, 2, later, later+1))
	o.take(&process{life: "n1#2"}, of("n1#2/0", saysUnlock, 2, later+2, later+3))
	o.checkLocks(map[string]uint64{}, true)
	o.sees("a lock whose holder was killed", "")
}

// asks is a question of an activation for the register.
func asks(what, by string, epoch uint64, id string, n int64) line {
	return line{Kind: saysRPC, Text: what, Key: "account/a", By: by, Epoch: epoch, Who: id, N: n}
}

func TestTheOracleSeesTwoActivationsThatBothWrite(t *testing.T) {
	for _, h := range []struct {
		name, fault string
		lines       []line
	}{
		{"one after the other, and the former is refused", "", []line{
			asks(registerClaim, "n0#1.1", 1, "", 0), asks(registerWrite, "n0#1.1", 1, "x", 1),
			asks(registerClaim, "n1#2.2", 2, "", 0), asks(registerWrite, "n0#1.1", 1, "y", 2), asks(registerWrite, "n1#2.2", 2, "z", 2),
		}},
		{"two under one epoch", "is claimed under epoch 1", []line{asks(registerClaim, "n0#1.1", 1, "", 0), asks(registerClaim, "n1#2.1", 1, "", 0)}},
		{"one that writes under the other's epoch", "is written under epoch 1", []line{asks(registerClaim, "n0#1.1", 1, "", 0), asks(registerWrite, "n1#2.1", 1, "x", 1)}},
		{"one that has not loaded", "is written under epoch 2", []line{asks(registerClaim, "n0#1.1", 1, "", 0), asks(registerWrite, "n1#2.2", 2, "x", 1)}},
		{"a request that is handled twice", "written twice", []line{
			asks(registerClaim, "n0#1.1", 1, "", 0), asks(registerWrite, "n0#1.1", 1, "x", 1), asks(registerWrite, "n0#1.1", 1, "x", 2),
		}},
	} {
		told(t, h.lines...).sees(h.name, h.fault)
	}
}

func TestTheOracleSeesNumbersThatAreWrong(t *testing.T) {
	claim := asks(registerClaim, "n0#1.1", 1, "", 0)
	write := func(id string, n int64) line { return asks(registerWrite, "n0#1.1", 1, id, n) }
	op := func(kind, who string, n, call, ret int64) line {
		return line{Kind: kind, Who: who, Key: "account/a", N: n, Call: call, Ret: ret}
	}
	for _, h := range []struct {
		name, fault string
		lines       []line
	}{
		{"additions and readings", "", []line{
			claim, write("x", 1), op(saysAdd, "x", 1, 0, 1), op(saysRead, "r", 1, 2, 3), write("y", 2), op(saysAdd, "y", 2, 4, 5), op(saysRead, "s", 2, 6, 7),
		}},
		{"one whose answer was lost", "", []line{
			claim, write("x", 1), {Kind: saysAdd, Who: "x", Key: "account/a", Text: "no answer", Call: 0, Ret: 1}, op(saysRead, "r", 1, 2, 3),
		}},
		{"one that is lost", "not linearizable", []line{
			claim, write("x", 1), op(saysAdd, "x", 1, 0, 1), write("y", 1), op(saysAdd, "y", 1, 2, 3),
		}},
		{"one that was read before, and not after", "not linearizable", []line{
			claim, write("x", 1), op(saysAdd, "x", 1, 0, 1), op(saysRead, "r", 0, 2, 3),
		}},
		{"an answer to what was not done", "was told that", []line{claim, op(saysAdd, "x", 1, 0, 1)}},
	} {
		o := told(t, h.lines...)
		o.checkAdds(map[string]int64{}, true)
		o.sees(h.name, h.fault)
	}
}

func TestTheOracleSeesAcknowledgedMessagesThatAreLostOrComeTwice(t *testing.T) {
	const to = "n1.7:01"
	sent := func(n int64, err string) line { return line{Kind: saysSent, Who: "n0#1/a", Key: to, N: n, Text: err} }
	got := func(n int64, at string) line { return line{Kind: saysGot, Who: "n0#1/a", Key: at, N: n} }
	for _, h := range []struct {
		name, fault string
		lines       []line
	}{
		{"all once", "", []line{sent(1, ""), got(1, to), sent(2, "no answer"), sent(3, ""), got(3, to)}},
		{"one that comes twice, to two", "more than once", []line{sent(1, ""), got(1, to), sent(2, ""), got(2, to), got(1, "n2.8:01")}},
		{"one that comes late", "got it after 2", []line{sent(1, ""), sent(2, ""), got(2, to), got(1, to)}},
		{"one that does not come", "the message did not", []line{sent(1, ""), got(1, to), sent(2, "")}},
	} {
		synctest.Test(t, func(t *testing.T) { // it waits for what is in mailboxes
			o := newOracle(t)
			for _, l := range h.lines {
				life := "n0#1"
				if l.Kind == saysGot {
					life, _, _ = strings.Cut(l.Key, ".")
				}
				o.take(&process{life: life}, l)
			}
			o.checkDeposits()
			o.sees(h.name, h.fault)
		})
	}
}

// complains runs something of a node, and has an oracle hear what it tells.
func complains(t *testing.T, do func(n *node)) *oracle {
	t.Helper()
	var out bytes.Buffer
	n := &node{role: role{Name: "n0", Life: "n0#1"}, pipe: &pipe{out: &out}, done: map[string]int64{}, log: slog.New(slog.DiscardHandler)}
	do(n)
	o := newOracle(t)
	for lines := json.NewDecoder(&out); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			break
		}
		o.take(&process{life: n.Life}, l)
	}
	return o
}

func TestTheOracleSeesAnAnswerToTheWrongAsker(t *testing.T) {
	q := question{"n0.1:02", 7}
	for _, h := range []struct {
		name, fault string
		answer      any
	}{
		{"its own", "", answer{q.Who, q.N, "n1"}},
		{"another's", "asked", answer{"n0.1:03", q.N, "n1"}},
		{"that of another question", "asked", answer{q.Who, q.N - 1, "n1"}},
		{"that of another node", "asked", answer{q.Who, q.N, "n2"}},
		{"none", "asked", nil},
	} {
		complains(t, func(n *node) { (&asker{n: n}).answered(q, "n1", h.answer) }).sees(h.name, h.fault)
	}
}

func TestTheOracleSeesMessagesOutOfOrder(t *testing.T) {
	ticks := func(all ...tick) func(*node) {
		return func(n *node) {
			s, r := &sink{n: n}, &row{}
			for _, m := range all {
				s.take(actor.Ref{}, r, m)
			}
		}
	}
	for _, h := range []struct {
		name, fault string
		do          func(*node)
	}{
		{"in order", "", ticks(tick{1, 1, 0}, tick{1, 2, 0}, tick{2, 1, 0})},
		{"one that was overtaken", "order", ticks(tick{1, 2, 0}, tick{1, 1, 0})},
		{"one that comes twice", "order", ticks(tick{1, 1, 0}, tick{1, 1, 0})},
		{"one of a former row", "order", ticks(tick{2, 1, 0}, tick{1, 9, 0})},
		{"news in order", "", news(1, 2, 4)},
		{"news that were overtaken", "topics", news(2, 1)},
		{"questions that were overtaken", "order", questions(2, 1)},
		{"questions in order", "", questions(1, 2)},
	} {
		complains(t, h.do).sees(h.name, h.fault)
	}
}

func news(numbers ...uint64) func(*node) {
	return func(n *node) {
		r := &reader{n: n, last: map[actor.Ref]uint64{}}
		for _, i := range numbers {
			r.Receive(nil, topics.Message{Topic: topic, Body: tick{N: i}})
		}
	}
}

// questions are asked by one actor, and answered.
func questions(numbers ...uint64) func(*node) {
	return func(n *node) {
		sys := actor.New(actor.Config{})
		echo, err := sys.Spawn(n.echo())
		if err != nil {
			n.wrong("%v", err)
			return
		}
		answered := make(chan struct{}, len(numbers))
		if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &inquirer{echo, numbers, answered} }}); err != nil {
			n.wrong("%v", err)
			return
		}
		for range numbers {
			<-answered
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			n.wrong("%v", err)
		}
	}
}

// inquirer asks questions when it starts.
type inquirer struct {
	echo     actor.Ref
	numbers  []uint64
	answered chan struct{}
}

func (q *inquirer) Start(c *actor.Context) error {
	for _, i := range q.numbers {
		c.Ask(q.echo, question{N: i}, func(any, error) { q.answered <- struct{}{} })
	}
	return nil
}

func (q *inquirer) Receive(*actor.Context, any) {}

func TestTheOracleSeesMessagesThatAreLostWithoutAWord(t *testing.T) {
	for _, h := range []struct {
		name, fault string
		told        bool
	}{{"nobody was told", "nobody was told", false}, {"the sender was told", "", true}} {
		synctest.Test(t, func(t *testing.T) {
			complains(t, func(n *node) {
				r := &row{}
				s := &sink{n: n, rows: map[actor.Ref]*row{{}: r}}
				s.take(actor.Ref{}, r, tick{1, 1, 0})
				s.take(actor.Ref{}, r, tick{1, 3, 0})
				time.Sleep(11 * time.Second) //nolint:forbidigo // fake time
				last := tick{1, 4, 0}
				if h.told {
					last.Losses++
				}
				s.take(actor.Ref{}, r, last)
				s.look()
			}).sees(h.name, h.fault)
		})
	}
}
