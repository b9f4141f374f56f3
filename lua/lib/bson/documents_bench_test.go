package bson_test

import (
	"bytes"
	"fmt"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// player is a document of a game, of about 4 KB.
type player struct {
	Name     string           `bson:"name"`
	Level    int64            `bson:"level"`
	Gold     int64            `bson:"gold"`
	HP       float64          `bson:"hp"`
	Guild    string           `bson:"guild"`
	Position position         `bson:"position"`
	Bag      []item           `bson:"bag"`
	Quests   map[string]quest `bson:"quests"`
	Settings settings         `bson:"settings"`
	Friends  []string         `bson:"friends"`
	Created  driver.DateTime  `bson:"created"`
	Stats    map[string]int64 `bson:"stats"`
}

type position struct {
	Map string  `bson:"map"`
	X   float64 `bson:"x"`
	Y   float64 `bson:"y"`
}

type item struct {
	ID    int64  `bson:"id"`
	Kind  string `bson:"kind"`
	Count int64  `bson:"count"`
}

type quest struct {
	State string `bson:"state"`
	Step  int64  `bson:"step"`
}

type settings struct {
	Music bool    `bson:"music"`
	Voice float64 `bson:"voice"`
	Lang  string  `bson:"lang"`
}

func newPlayer() player {
	p := player{
		Name: "Somebody", Level: 42, Gold: 9007199254, HP: 97.5, Guild: "The Round Table", Position: position{"forest", 12.25, -7.5},
		Settings: settings{true, 0.8, "en"}, Created: 1700000000000, Quests: map[string]quest{}, Stats: map[string]int64{},
	}
	for i := range 40 {
		p.Bag = append(p.Bag, item{int64(100000 + i), []string{"sword", "shield", "potion of healing"}[i%3], int64(i)})
	}
	for i := range 15 {
		p.Quests[fmt.Sprintf("quest_%d", i)] = quest{"open", int64(i)}
		p.Stats[fmt.Sprintf("stat_%d", i)] = int64(i)
	}
	for i := range 10 {
		p.Friends = append(p.Friends, fmt.Sprintf("friend number %d", i))
	}
	return p
}

func playerDocument(t testing.TB) []byte {
	t.Helper()
	raw, err := driver.Marshal(newPlayer())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// engineKinds are both engines, and the one that has floats only once more, with large integers as text.
func engineKinds(t testing.TB) map[string]vm.Engine {
	t.Helper()
	floats, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := gopher.New(gopher.Config{TextIntegers: true})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]vm.Engine{"lua54": lua54.New(), "gopher": floats, "gopher with text": text}
}

func BenchmarkADocumentIntoATable(b *testing.B) {
	raw := playerDocument(b)
	for name, e := range engineKinds(b) {
		b.Run(name, func(b *testing.B) {
			s := e.New(vm.Options{}).Main()
			c := bson.NewDocuments(s, "_schema", 16<<20, 96)
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if err := c.Push(s, raw, "player"); err != nil {
					b.Fatal(err)
				}
				s.SetTop(0)
			}
		})
	}
	b.Run("bare struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p player
			if err := driver.Unmarshal(raw, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkATableIntoADocument(b *testing.B) {
	raw := playerDocument(b)
	for name, e := range engineKinds(b) {
		b.Run(name, func(b *testing.B) {
			s := e.New(vm.Options{}).Main()
			c := bson.NewDocuments(s, "_schema", 16<<20, 96)
			if err := c.Push(s, raw, "player"); err != nil {
				b.Fatal(err)
			}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, err = c.Take(out[:0], s, 1, raw, 0, "player"); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.Equal(out, raw) {
				b.Error("it is another document")
			}
		})
	}
	b.Run("bare struct", func(b *testing.B) {
		p := newPlayer()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := driver.Marshal(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
