package record_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/record"
)

// The messages of a purse.
type (
	Put  struct{ Coins int64 }
	Take struct{ Coins int64 }
)

// purse has a bug: it gives coins that it does not have.
type purse struct{ coins int64 }

func (p *purse) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Put:
		p.coins += m.Coins
	case Take:
		p.coins -= m.Coins
		c.Reply(p.coins, nil)
	}
}

func Example() {
	ctx := context.Background()
	sys := actor.New(actor.Config{})
	defer func() { _ = sys.Shutdown(ctx) }()
	spec := actor.Spec{New: func() actor.Actor { return &purse{} }}
	types := record.Types(Put{}, Take{})

	// Somebody's purse is recorded.
	first, err := sys.Spawn(spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	rec, err := record.Start(sys, first, &file, types)
	if err != nil {
		fmt.Println(err)
		return
	}
	sys.Send(first, Put{5})
	_, _ = sys.Ask(ctx, first, Take{3})
	_, _ = sys.Ask(ctx, first, Take{3})
	if err := rec.Close(); err != nil {
		fmt.Println(err)
	}

	// And somebody else has the recording, and a fresh purse.
	second, err := sys.Spawn(spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	played, err := record.Replay(ctx, sys, second, &file, types, record.Options{})
	for _, a := range played.Answers {
		fmt.Printf("line %d: %T %+v: %v %v\n", a.Entry.Line, a.Entry.Message, a.Entry.Message, a.Value, a.Err)
	}
	fmt.Println(err)
	// Output:
	// line 3: record_test.Take {Coins:3}: 2 <nil>
	// line 4: record_test.Take {Coins:3}: -1 <nil>
	// <nil>
}

func ExampleRead() {
	file := bytes.NewBufferString(`{"recording":1,"actor":"purse","address":"skua:01000000","began":"2026-03-01T12:00:00Z"}
{"at":15000,"from":"skua:01000003","type":"record_test.Put","message":{"Coins":5}}
{"at":15212,"type":"record_test.steal","error":"record: type is not registered"}
{"at":16000,"request":true,"type":"record_test.Ta`)
	rec, err := record.Read(file, record.Types(Put{}, Take{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rec.Actor, rec.Began.Year())
	for e, err := range rec.Entries() {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(e.At, e.From, e.Message)
	}
	// Output:
	// purse 2026
	// 15ms skua:01000003 {5}
	// record: line 3: record_test.steal: the message was not recorded: type is not registered
	// record: line 4: the recording is cut short: jsontext: unexpected EOF within "/type" after offset 49
}

// word has JSON of its own, because it keeps its letters to itself.
type word struct{ letters string }

func ExampleAdd() {
	types := record.Types()
	record.Add(types, "word",
		func(w word) ([]byte, error) { return fmt.Appendf(nil, "%q", w.letters), nil },
		func(data []byte) (word, error) {
			var w word
			_, err := fmt.Sscanf(string(data), "%q", &w.letters)
			return w, err
		})
	fmt.Println(types.Err())
	fmt.Println(record.Types(word{}).Err())
	// Output:
	// <nil>
	// record: type is not registered: record_test.word.letters is not exported, so JSON leaves it out; export it, give the type methods for JSON, or use Add
}
