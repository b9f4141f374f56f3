package crashtest_test

import (
	"fmt"
	"strconv"
)

const (
	kind     = "player"
	remember = 20 // changes in a player's log
	things   = 4  // in a player's bag
)

// player tells in several places, far apart, how often it was changed: a change that is missing or there twice would show, and so would one that is there in part.
type player struct {
	N     int64            `bson:"n"`
	By    string           `bson:"by"` // the node that has changed it last
	First int64            `bson:"first"`
	Log   []int64          `bson:"log"` // First to N
	Pad   string           `bson:"pad"`
	Bag   map[string]thing `bson:"bag"` // the last things changes, by their numbers
	M     int64            `bson:"m"`
}

type thing struct {
	N      int64  `bson:"n"`
	Within within `bson:"within"`
}

type within struct {
	List []int64 `bson:"list"`
}

// change is what the script does as well, see script.
func (p *player) change(by string) {
	p.N++
	p.M, p.By = p.N, by
	if p.Log = append(p.Log, p.N); len(p.Log) > remember {
		p.Log = []int64{p.N} // an array that shrinks is a patch of another sort
	}
	if len(p.Log) == 1 {
		p.First = p.N
	}
	if p.Bag == nil {
		p.Bag = map[string]thing{}
	}
	p.Bag[name(p.N)] = thing{N: p.N, Within: within{List: []int64{p.N, p.N}}}
	delete(p.Bag, name(p.N-things))
}

func name(n int64) string { return "c" + strconv.FormatInt(n, 10) }

// torn says what is wrong with a content that no player has ever had.
func (p *player) torn() error {
	if p.N != p.M || p.N > 0 && p.First+int64(len(p.Log)) != p.N+1 {
		return fmt.Errorf("n is %d, m %d, the log begins at %d and has %d", p.N, p.M, p.First, len(p.Log))
	}
	for i, n := range p.Log {
		if n != p.First+int64(i) {
			return fmt.Errorf("the log begins at %d and says %v", p.First, p.Log)
		}
	}
	if len(p.Bag) != int(min(p.N, things)) {
		return fmt.Errorf("n is %d, and the bag has %d things: %v", p.N, len(p.Bag), p.Bag)
	}
	for key, t := range p.Bag {
		if name(t.N) != key || t.N > p.N || t.N <= p.N-things || len(t.Within.List) != 2 || t.Within.List[0] != t.N || t.Within.List[1] != t.N {
			return fmt.Errorf("n is %d, and %s in the bag is %+v", p.N, key, t)
		}
	}
	return nil
}

func docID(i int) string { return fmt.Sprint("p", i) }
