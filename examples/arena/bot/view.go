package bot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Player is somebody in view. N counts the steps they have made in all.
type Player struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	X    int    `json:"x"`
	Y    int    `json:"y"`
	N    int64  `json:"n"`
}

// Coin is one that lies about.
type Coin struct {
	ID   int64  `json:"id"`
	X    int    `json:"x"`
	Y    int    `json:"y"`
	Kind string `json:"kind"`
}

// Seat is the answer to `enter`: where we are, and what we see.
type Seat struct {
	Player
	Coins     int64            `json:"coins"`
	Inventory map[string]int64 `json:"inventory"`
	Width     int              `json:"width"`
	Height    int              `json:"height"`
	View      int              `json:"view"`
	Players   list[Player]     `json:"players"`
	CoinList  list[Coin]       `json:"coin_list"`
}

// list is an array; an empty table of Lua comes as an object.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("{}")) {
		*l = nil
		return nil
	}
	return json.Unmarshal(data, (*[]T)(l))
}

// ErrView is wrapped by the errors of View: the server told something that can't follow from what it told before.
var ErrView = errors.New("bot: impossible push")

// View is what a client sees, built from the answer to `enter` and the pushes after it. It is strict: whoever is in view must be told of step by step.
// It is not safe for concurrent use.
type View struct {
	Players map[string]Player
	Coins   map[int64]Coin
	self    string
}

// NewView begins with what `enter` answered.
func NewView(seat Seat) (*View, error) {
	v := &View{Players: make(map[string]Player), Coins: make(map[int64]Coin), self: seat.ID}
	for _, p := range seat.Players {
		if err := v.enter(p); err != nil {
			return nil, err
		}
	}
	for _, c := range seat.CoinList {
		if err := v.coin(c); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Apply takes a push. Its errors are ErrView. Routes that are not about what is in view are ignored.
func (v *View) Apply(route string, body []byte) error {
	switch route {
	case "enter":
		return apply(body, v.enter)
	case "move":
		return apply(body, v.move)
	case "leave":
		return apply(body, v.leave)
	case "coin":
		return apply(body, v.coin)
	case "coin_gone":
		return apply(body, v.coinGone)
	}
	return nil
}

func apply[T any](body []byte, f func(T) error) error {
	var m T
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("%w: %.100q: %w", ErrView, body, err)
	}
	return f(m)
}

func (v *View) enter(p Player) error {
	if p.ID == "" || p.Name == "" || p.ID == v.self {
		return fmt.Errorf("%w: enter of %+v to %s", ErrView, p, v.self)
	}
	if old, ok := v.Players[p.ID]; ok {
		return fmt.Errorf("%w: enter of %s, who is in view at n=%d", ErrView, p.ID, old.N)
	}
	v.Players[p.ID] = p
	return nil
}

func (v *View) move(m Player) error {
	p, ok := v.Players[m.ID]
	if !ok {
		return fmt.Errorf("%w: move of %s, who is not in view", ErrView, m.ID)
	}
	if m.N != p.N+1 {
		return fmt.Errorf("%w: move of %s has n=%d after n=%d", ErrView, m.ID, m.N, p.N)
	}
	if far := distance(m.X, m.Y, p.X, p.Y); far != 1 {
		return fmt.Errorf("%w: move of %s is %d steps long", ErrView, m.ID, far)
	}
	p.X, p.Y, p.N = m.X, m.Y, m.N
	v.Players[m.ID] = p
	return nil
}

func (v *View) leave(m Player) error {
	if _, ok := v.Players[m.ID]; !ok {
		return fmt.Errorf("%w: leave of %s, who is not in view", ErrView, m.ID)
	}
	delete(v.Players, m.ID)
	return nil
}

func (v *View) coin(c Coin) error {
	if _, ok := v.Coins[c.ID]; ok {
		return fmt.Errorf("%w: coin %d, which is in view", ErrView, c.ID)
	}
	v.Coins[c.ID] = c
	return nil
}

func (v *View) coinGone(c Coin) error {
	if _, ok := v.Coins[c.ID]; !ok {
		return fmt.Errorf("%w: coin_gone of %d, which is not in view", ErrView, c.ID)
	}
	delete(v.Coins, c.ID)
	return nil
}

// distance counts steps; a diagonal one is one.
func distance(x1, y1, x2, y2 int) int {
	return max(x1-x2, x2-x1, y1-y2, y2-y1)
}

// Compare says how the view differs from the truth: where everybody on the map is, and how far they see. It looks at each of them, so it depends on nothing
// that the server does to be quick.
func (v *View) Compare(me Player, all []Player, far int) []string {
	var wrong []string
	want := map[string]bool{}
	for _, p := range all {
		if p.ID == me.ID || distance(me.X, me.Y, p.X, p.Y) > far {
			continue
		}
		want[p.ID] = true
		switch seen, ok := v.Players[p.ID]; {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s at %d,%d does not see %s at %d,%d", me.Name, me.X, me.Y, p.Name, p.X, p.Y))
		case seen != p:
			wrong = append(wrong, fmt.Sprintf("%s sees %+v, they are %+v", me.Name, seen, p))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.Players)) {
		if !want[id] {
			wrong = append(wrong, fmt.Sprintf("%s at %d,%d sees %+v, who is not there", me.Name, me.X, me.Y, v.Players[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.Coins)) {
		if c := v.Coins[id]; distance(me.X, me.Y, c.X, c.Y) > far {
			wrong = append(wrong, fmt.Sprintf("%s at %d,%d sees coin %+v, which is too far", me.Name, me.X, me.Y, c))
		}
	}
	return wrong
}
