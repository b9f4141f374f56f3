package bot_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/examples/arena/bot"
)

func newView(t *testing.T) *bot.View {
	t.Helper()
	var seat bot.Seat
	err := json.Unmarshal([]byte(`{"id":"me","name":"Me","x":5,"y":5,"n":3,"view":4,"players":[{"id":"a","name":"A","x":6,"y":6,"n":10}],"coin_list":{}}`), &seat)
	if err != nil {
		t.Fatal(err)
	}
	v, err := bot.NewView(seat)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAViewFollowsItsPushes(t *testing.T) {
	v := newView(t)
	for _, p := range [][2]string{
		{"move", `{"id":"a","x":7,"y":7,"n":11}`},
		{"enter", `{"id":"b","name":"B","x":1,"y":1,"n":0}`},
		{"coin", `{"id":1,"x":5,"y":6,"kind":"gold"}`},
		{"leave", `{"id":"a"}`},
		{"enter", `{"id":"a","name":"A","x":9,"y":9,"n":15}`},
		{"coin_gone", `{"id":1}`},
		{"chat", `{}`},
	} {
		if err := v.Apply(p[0], []byte(p[1])); err != nil {
			t.Fatal(err)
		}
	}
	me := bot.Player{ID: "me", Name: "Me", X: 5, Y: 5, N: 3}
	a, b := bot.Player{ID: "a", Name: "A", X: 9, Y: 9, N: 15}, bot.Player{ID: "b", Name: "B", X: 1, Y: 1}
	if wrong := v.Compare(me, []bot.Player{me, a, b, {ID: "far", X: 10, Y: 5}}, 4); len(wrong) > 0 {
		t.Error(wrong)
	}
	a.N++
	for want, all := range map[string][]bot.Player{
		"they are":             {a, b},
		"who is not there":     {b},
		"does not see C at 5,": {{ID: "a", Name: "A", X: 9, Y: 9, N: 15}, b, {ID: "c", Name: "C", X: 5, Y: 9}},
	} {
		if wrong := v.Compare(me, all, 4); len(wrong) != 1 || !strings.Contains(wrong[0], want) {
			t.Errorf("%q, expected one that says %q", wrong, want)
		}
	}
}

func TestAViewRefusesWhatCannotBe(t *testing.T) {
	for _, c := range []struct{ route, body, want string }{
		{"move", `{"id":"a","x":7,"y":7,"n":12}`, "n=12 after n=10"},
		{"move", `{"id":"a","x":7,"y":7,"n":10}`, "n=10 after n=10"},
		{"move", `{"id":"a","x":8,"y":6,"n":11}`, "2 steps long"},
		{"move", `{"id":"a","x":6,"y":6,"n":11}`, "0 steps long"},
		{"move", `{"id":"b","x":7,"y":7,"n":11}`, "not in view"},
		{"enter", `{"id":"a","name":"A","x":6,"y":6,"n":10}`, "who is in view"},
		{"enter", `{"id":"me","name":"Me","x":6,"y":6,"n":10}`, "enter of"},
		{"enter", `{"id":"b","x":6,"y":6,"n":10}`, "enter of"},
		{"leave", `{"id":"b"}`, "not in view"},
		{"coin_gone", `{"id":7}`, "not in view"},
		{"move", `[1]`, "cannot unmarshal"},
		{"move", ``, "unexpected end"},
	} {
		err := newView(t).Apply(c.route, []byte(c.body))
		if !errors.Is(err, bot.ErrView) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, expected %q", c.route, c.body, err, c.want)
		}
	}
}

func FuzzViewTakesAnyPush(f *testing.F) {
	f.Add("move", []byte(`{"id":"a","x":7,"y":7,"n":11}`))
	f.Add("enter", []byte(`{"id":"b","name":"B","x":1e9,"y":-1,"n":0}`))
	f.Add("coin", []byte(`{"id":1}`))
	f.Fuzz(func(t *testing.T, route string, body []byte) {
		v := newView(t)
		if err := v.Apply(route, body); err != nil && !errors.Is(err, bot.ErrView) {
			t.Fatal(err)
		}
	})
}

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	for want, cfg := range map[string]bot.Config{
		`transport "udp"`: {Transport: "udp", Addr: "127.0.0.1:1", Clients: 1},
		"no address":      {Transport: "tcp", Clients: 1},
		"0 clients":       {Transport: "tcp", Addr: "127.0.0.1:1"},
		"-1 clients":      {Transport: "tcp", Addr: "127.0.0.1:1", Clients: 1, Also: []bot.Target{{Transport: "ws", Addr: "127.0.0.1:1", Clients: -1}}},
	} {
		if _, err := bot.Run(t.Context(), cfg); !errors.Is(err, bot.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	_, err := bot.Run(t.Context(), bot.Config{Transport: "tcp", Addr: "127.0.0.1:1", Clients: 1})
	if err == nil || !strings.Contains(err.Error(), "nobody got in") {
		t.Errorf("nobody listens: %v", err)
	}
}
