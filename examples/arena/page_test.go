package arena_test

import (
	"context"
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/skua-go/skua/internal/browsertest"
)

// pageWorld is one where two new players see each other at once. Its dice are seeded: else one player stands where the other is looked for, now and then.
const pageWorld = `return { seed = 4, width = 40, height = 32, view = 12, coins = 60, arrival = { x = 15, y = 13, w = 9, h = 7 },
  kinds = { { name = "copper", share = 60 }, { name = "silver", share = 30 }, { name = "gold", share = 10 } },
  walls = { { x = 8, y = 8, w = 7, h = 1 }, { x = 8, y = 9, w = 1, h = 4 }, { x = 24, y = 22, w = 7, h = 1 }, { x = 30, y = 18, w = 1, h = 4 },
    { x = 26, y = 8, w = 3, h = 3 }, { x = 10, y = 20, w = 4, h = 2 } } }`

// browser starts one Chromium with a fresh profile.
func browser(t *testing.T) context.Context {
	t.Helper()
	return browsertest.Start(t, "hide-scrollbars")
}

// page is a tab with the arena.
type page struct{ *browsertest.Page }

func openPage(t *testing.T, browser context.Context, n *node, width, height int64, scale float64) page {
	t.Helper()
	return openPageAt(t, browser, n.http, width, height, scale)
}

func openPageAt(t *testing.T, browser context.Context, addr string, width, height int64, scale float64) page {
	t.Helper()
	p := page{browsertest.Open(browser, t, "http://"+addr+"/", width, height, scale)}
	p.State = "arena.state"
	p.Run(chromedp.WaitVisible("#name"))
	return p
}

func evaluate[T any](p page, expression string) T {
	p.T.Helper()
	return browsertest.Evaluate[T](p.Page, expression)
}

type pageState struct {
	Connection struct {
		State, Reason string
		RTT           float64
		Stats         struct{ Requests, Answers, Resumed, Lost int }
	}
	Me *struct {
		ID, Name  string
		X, Y      int
		N, Coins  int64
		Inventory map[string]int64
	}
	World *struct {
		Width, Height int
		Walls         []struct{ X, Y, W, H int }
	}
	Players []struct {
		ID, Name string
		X, Y     int
		N        int64
	}
	Coins []struct{ X, Y int }
	Chat  []struct{ Name, Text string }
}

func (p page) state() pageState {
	p.T.Helper()
	return evaluate[pageState](p, "arena.state")
}

func (p page) login(name, password string) {
	p.T.Helper()
	evaluate[string](p, `document.getElementById("name").value = document.getElementById("password").value = ""`)
	p.Run(chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", password+kb.Enter))
}

func (p page) enter(name, password string) {
	p.T.Helper()
	p.login(name, password)
	p.Until(fmt.Sprintf("arena.state.connection.online && arena.state.me.name === %q", name))
}

// say goes to the chat with the Enter key, as a player does, and back to the map with Escape.
func (p page) say(text string) {
	p.T.Helper()
	// Only the key going down: chromedp would send its character as well, which a browser does not once a page has taken the key.
	enter := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
	if _, err := chromedp.Call(p.Ctx, input.DispatchKeyEvent, enter); err != nil {
		p.T.Fatal(err)
	}
	p.Until("document.activeElement.id === 'text'")
	p.Run(chromedp.KeyEvent(text), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Escape))
	p.Until("document.activeElement.id === 'map'")
}

// walk presses an arrow key and waits until what was asked for by that is answered; false if there was a wall. On a busy machine the key may be down for longer than a step takes, and it is more than one.
func (p page) walk(key string) bool {
	p.T.Helper()
	const answers, quiet = "arena.state.connection.stats.answers", "arena.state.connection.stats.requests === arena.state.connection.stats.answers"
	p.Until(quiet) // what was said before is answered, too
	before := p.state()
	late := time.Now().Add(browsertest.Patience)
	for p.Run(chromedp.KeyEvent(key)); !p.Becomes(fmt.Sprintf("%s > %d", answers, before.Connection.Stats.Answers), time.Second); p.Run(chromedp.KeyEvent(key)) {
		if time.Now().After(late) {
			p.T.Fatalf("%q is not answered: %+v", key, p.state())
		}
	}
	p.Until(quiet)
	return p.state().Me.N > before.Me.N
}

// towards walks to a spot, along the shortest way around the walls.
func (p page) towards(x, y int) {
	p.T.Helper()
	for {
		at := p.state()
		if at.Me.X == x && at.Me.Y == y {
			return
		}
		key, ok := nextStep(at, x, y)
		if !ok || !p.walk(key) {
			p.T.Fatalf("no way from %+v to %d,%d", at.Me, x, y)
		}
	}
}

func nearestCoin(s pageState) (at struct{ X, Y int }) {
	best := math.MaxInt
	for _, c := range s.Coins {
		dx, dy := c.X-s.Me.X, c.Y-s.Me.Y
		if far := dx*dx + dy*dy; far < best {
			best, at = far, c
		}
	}
	return at
}

// nextStep is the key for the first step of a shortest way.
func nextStep(s pageState, x, y int) (string, bool) {
	type spot [2]int
	keys := map[spot]string{{1, 0}: kb.ArrowRight, {-1, 0}: kb.ArrowLeft, {0, 1}: kb.ArrowDown, {0, -1}: kb.ArrowUp}
	seen := map[spot]bool{{x, y}: true}
	for _, w := range s.World.Walls {
		for i := range w.W * w.H {
			seen[spot{w.X + i%w.W, w.Y + i/w.W}] = true
		}
	}
	for edge := []spot{{x, y}}; len(edge) > 0; edge = edge[1:] { // from the goal outwards
		for d, key := range keys {
			from := spot{edge[0][0] - d[0], edge[0][1] - d[1]}
			switch {
			case from == spot{s.Me.X, s.Me.Y}:
				return key, true
			case !seen[from] && from[0] >= 0 && from[1] >= 0 && from[0] < s.World.Width && from[1] < s.World.Height:
				seen[from] = true
				edge = append(edge, from)
			}
		}
	}
	return "", false
}

// paints says whether the canvas shows the colour of a player on that tile, at one of two places of their body: somebody's name may be before the other.
func (p page) paints(id string, x, y int) string {
	return fmt.Sprintf(`(() => {
		const canvas = document.getElementById("map"), dpr = canvas.width / canvas.clientWidth;
		const at = arena.toScreen(%[2]d, %[3]d), tile = arena.toScreen(1, 0).x - arena.toScreen(0, 0).x;
		const pixel = (dx, dy) => canvas.getContext("2d").getImageData(Math.round((at.x + dx * tile) * dpr), Math.round((at.y + dy * tile) * dpr), 1, 1).data;
		const one = document.createElement("canvas").getContext("2d");
		one.fillStyle = arena.colorOf(%[1]q);
		one.fillRect(0, 0, 1, 1);
		const want = one.getImageData(0, 0, 1, 1).data;
		return [pixel(0, 0.22), pixel(0.2, -0.22)].some((seen) => [0, 1, 2].every((i) => Math.abs(seen[i] - want[i]) < 12));
	})()`, id, x, y)
}

func TestOnePageWalksAndTheOtherSeesIt(t *testing.T) {
	n := newNode(t, "scripts/world.lua", pageWorld)
	b := browser(t)
	ada, bob := openPage(t, b, n, 1280, 800, 1), openPage(t, b, n, 1100, 760, 2)
	ada.Screenshot("login.png")
	ada.Prefers("dark")
	ada.enter("Ada", "secret of ada")
	bob.enter("Bob", "secret of bob")
	ada.Until("arena.state.players.some((p) => p.name === 'Bob')")
	bob.Until("arena.state.players.some((p) => p.name === 'Ada')")

	// Ada walks with real keys; each of her steps arrives at Bob's page, and is painted there.
	id := ada.state().Me.ID
	bob.Until(bob.paints(id, ada.state().Me.X, ada.state().Me.Y))
	start := *ada.state().Me
	for range 3 {
		if !ada.walk(kb.ArrowRight) && !ada.walk(kb.ArrowDown) && !ada.walk("a") {
			t.Fatal("Ada can't move in any direction")
		}
		me := ada.state().Me
		bob.Until(fmt.Sprintf("arena.state.players.some((p) => p.id === %q && p.x === %d && p.y === %d && p.n === %d)", me.ID, me.X, me.Y, me.N))
		bob.Until(bob.paints(id, me.X, me.Y))
	}
	me := *ada.state().Me
	if me.N < start.N+3 || me.X == start.X && me.Y == start.Y {
		t.Fatalf("Ada walked 3 steps from %+v to %+v", start, me)
	}
	if evaluate[bool](bob, bob.paints(id, start.X, start.Y)) {
		t.Error("Ada is still painted where she was")
	}
	width := evaluate[[2]float64](bob, "(() => { const c = document.getElementById('map'); return [c.width, c.clientWidth]; })()")
	if width[0] != 2*width[1] {
		t.Errorf("the canvas has %v pixels for %v CSS pixels on a screen of scale 2", width[0], width[1])
	}

	// A coin that Ada walks onto is hers, and gone from Bob's page.
	coin := nearestCoin(ada.state())
	ada.towards(coin.X, coin.Y)
	ada.Until("arena.state.me.coins >= 1 && document.getElementById('coins').textContent === String(arena.state.me.coins)")
	bob.Until(fmt.Sprintf("!arena.state.coins.some((c) => c.x === %d && c.y === %d)", coin.X, coin.Y))

	// What is said is text, whatever it looks like.
	bob.say(`<img src=x onerror="document.title='broken'"> hi Ada`)
	ada.say("hello Bob, I have found a coin!")
	bob.Until("arena.state.chat.length === 2")
	ada.Until(`document.getElementById('log').innerText.includes('<img src=x onerror="document.title=\'broken\'"> hi Ada')`)
	if title := evaluate[string](ada, "document.title + document.querySelectorAll('#log img').length"); title != "Skua Arena0" {
		t.Errorf("chat got into the page: %s", title)
	}
	ada.Until("document.getElementById('near').innerText.includes('Bob')")
	ada.Until("/online · [0-9]+ ms/.test(document.getElementById('connection').innerText)")
	ada.Screenshot("arena.png")
	bob.Prefers("light")
	bob.Screenshot("arena-light.png")
	bob.Run(chromedp.EmulateViewport(390, 800, chromedp.EmulateScale(2)))
	bob.Screenshot("arena-phone.png")
	for name, p := range map[string]page{"Ada": ada, "Bob": bob} {
		if c := p.Complaints(""); len(c) > 0 {
			t.Errorf("%s's console: %q", name, c)
		}
	}
}

func TestThePageComesBackAfterTheNodeWasKilled(t *testing.T) {
	n := newNode(t, "scripts/world.lua", pageWorld)
	p := openPage(t, browser(t), n, 1280, 800, 1)
	p.enter("Ada", "secret of ada")
	coin := nearestCoin(p.state())
	p.towards(coin.X, coin.Y)
	p.Until("arena.state.me.coins >= 1")
	before := p.state().Me
	n.Stop(syscall.SIGKILL)
	p.Until("!arena.state.connection.online")
	p.Until("!document.getElementById('notice').hidden")
	p.Screenshot("reconnecting.png")
	n.Start()
	p.Until("arena.state.connection.state === 'connected'") // and not resumed: it has logged in again
	after := p.state().Me
	// The coin was committed together with the step onto it; nothing came after that.
	if after.ID != before.ID || after.Coins != before.Coins || after.N != before.N || after.X != before.X || after.Y != before.Y {
		t.Fatalf("before the kill %+v, after it %+v", before, after)
	}
	if !p.walk(kb.ArrowLeft) && !p.walk(kb.ArrowRight) && !p.walk(kb.ArrowUp) {
		t.Fatal("can't walk after the restart")
	}
	if c := p.Complaints("WebSocket connection to"); len(c) > 0 {
		t.Errorf("the console: %q", c)
	}
}

func TestThePageTellsPlayersWhatWentWrong(t *testing.T) {
	n := newNode(t, "scripts/world.lua", pageWorld)
	b := browser(t)
	first, second := openPage(t, b, n, 1000, 700, 1), openPage(t, b, n, 1000, 700, 1)
	first.enter("Ada", "secret of ada")

	second.login("Ada", "not her secret")
	second.Until("document.getElementById('problem').innerText.includes('the password is not theirs')")
	second.Until("document.getElementById('play').disabled === false")

	// The same player from a second window: the first hears why it is out, and stays out.
	second.enter("Ada", "secret of ada")
	first.Until("arena.state.connection.state === 'closed' && document.getElementById('problem').innerText.includes('logged in elsewhere')")
	if !second.walk(kb.ArrowLeft) && !second.walk(kb.ArrowRight) {
		t.Error("the second window can't walk")
	}

	// Nobody there at all.
	n.Stop(syscall.SIGTERM)
	first.login("Ada", "secret of ada")
	first.Until("document.getElementById('problem').innerText.includes(\"can't be reached\")")
	// Who is at the door decides when to try again.
	if first.Becomes("arena.state.connection.state !== 'closed'", time.Second) {
		t.Errorf("the page tries by itself: %+v", first.state().Connection)
	}
	second.Until("!arena.state.connection.online && !document.getElementById('notice').hidden")
	for _, p := range []page{first, second} {
		if c := p.Complaints("WebSocket connection to"); len(c) > 0 {
			t.Errorf("the console: %q", c)
		}
	}
}
