// Package bank is a service in Go that stands beside a game's scripts: accounts, each a typed document, and the migration that brings old ones to the form of
// today. docs/go.md leads through it.
package bank

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/store"
)

// Kind is that of the accounts' documents.
const Kind = "account"

// ErrPoor refuses to take more coins than there are.
var ErrPoor = errors.New("bank: not enough coins")

// account is the content of a document.
type account struct {
	Coins int64          `bson:"coins"`
	Rest  map[string]any `bson:",inline"` // what a newer release has put there stays
}

// Spec is the bank of a node. It handles one request after the other, so that nobody else has the account in hand meanwhile.
func Spec() actor.Spec {
	return actor.Spec{Name: "bank", Serial: true, New: func() actor.Actor { return bank{} }}
}

// Migrations lead accounts from gold, schema 1, to coins, schema 2.
func Migrations() store.Migration {
	return store.Migration{Version: 2, Steps: map[int]func(bson.D) (bson.D, error){1: goldToCoins}}
}

// goldToCoins gives a hundred coins for a piece of gold.
func goldToCoins(d bson.D) (bson.D, error) {
	for i, e := range d {
		if e.Key != "gold" {
			continue
		}
		gold, ok := e.Value.(int64)
		if !ok {
			return nil, fmt.Errorf("gold is a %T, not an int64", e.Value)
		}
		d[i] = bson.E{Key: "coins", Value: 100 * gold}
	}
	return d, nil
}

type bank struct{}

// Receive takes the commands of scripts: skynet.call("bank", "lua", "add", "ann", 5) is answered with the coins that ann then has, when that is durable.
func (bank) Receive(c *actor.Context, msg any) {
	m, ok := msg.(lua.Message)
	if !ok {
		return // such as store.Lost, which the answer to add has told, too
	}
	command, _ := m.Args.At(0).Str()
	id, _ := m.Args.At(1).Str()
	coins, isInt := m.Args.At(2).Int()
	if command != "add" || !isInt {
		c.Reply(nil, fmt.Errorf("bank: %q: add, the name of an account and a number of coins are expected", command))
		return
	}
	store.Open(c, store.Claim{Kind: Kind, ID: id, IfLost: store.TellOnly}, account{}, func(d *store.Document[account], err error) {
		if err != nil {
			c.Reply(nil, err)
			return
		}
		add(c, d, coins)
	})
}

// add changes an account, or not, and lets it go.
func add(c *actor.Context, d *store.Document[account], coins int64) {
	done := func(err error) {
		if failed := d.Release(c); err == nil {
			err = failed
		}
		c.Reply(value.Of(d.Data.Coins), err)
	}
	if d.Data.Coins+coins < 0 {
		done(fmt.Errorf("%w: %s has %d", ErrPoor, d.ID(), d.Data.Coins))
		return
	}
	d.Data.Coins += coins
	d.Commit(c, done)
}
