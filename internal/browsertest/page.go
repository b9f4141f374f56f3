package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience is how long anything of a page may take on a machine with much else to do.
const Patience = 30 * time.Second

// Page is a tab.
type Page struct {
	T   *testing.T
	Ctx context.Context //nolint:containedctx // the tab itself, for the library
	// State is an expression of JavaScript, whose value tells in failures how the page is.
	State string

	mu     sync.Mutex
	errors []string // what the page complained about in the console
}

// Open opens a URL in a tab of this size, in focus.
func Open(browser context.Context, t *testing.T, url string, width, height int64, scale float64) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &Page{T: t, Ctx: ctx, State: "document.body.innerText"}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			what := e.ExceptionDetails.Text
			if thrown := e.ExceptionDetails.Exception; thrown != nil {
				what += " " + thrown.Description
			}
			p.complain(fmt.Sprint(what, " ", e.ExceptionDetails.URL, ":", e.ExceptionDetails.LineNumber))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				p.complain(e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Each tab is one person's window, in focus.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	p.Run(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)), chromedp.Navigate(url)) //nolint:contextcheck // it is the tab's
	return p
}

func (p *Page) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, text)
}

// Complaints are the console's errors, without those that are expected.
func (p *Page) Complaints(expected string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var left []string
	for _, text := range p.errors {
		if expected == "" || !strings.Contains(text, expected) {
			left = append(left, text)
		}
	}
	return left
}

// Run does what a person does.
func (p *Page) Run(actions ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.T.Fatalf("page: %v; its console: %q", err, p.Complaints(""))
	}
}

// Evaluate gives the value of an expression of JavaScript.
func Evaluate[T any](p *Page, expression string) T {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.T.Fatalf("page: %s: %v; its console: %q", expression, err, p.Complaints(""))
	}
	return v
}

// Becomes waits for an expression to be true, and says whether it was in time. A page's policy may forbid the polls that chromedp would plant in it.
func (p *Page) Becomes(expression string, within time.Duration) bool {
	p.T.Helper()
	for end := time.Now().Add(within); ; <-time.After(20 * time.Millisecond) {
		if Evaluate[bool](p, "Boolean("+expression+")") {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Until waits for an expression of JavaScript to be true.
func (p *Page) Until(expression string) {
	p.T.Helper()
	if !p.Becomes(expression, Patience) {
		p.T.Fatalf("page: waited for %s; its state: %s; its console: %q", expression, Evaluate[string](p, "JSON.stringify("+p.State+")"), p.Complaints(""))
	}
}

// Screenshot keeps what the page looks like now, as a PNG in the directory of SKUA_SCREENSHOTS, or for the time of the test.
func (p *Page) Screenshot(name string) {
	p.T.Helper()
	png, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.T.Fatal(err)
	}
	dir := os.Getenv("SKUA_SCREENSHOTS")
	if dir == "" {
		dir = p.T.TempDir()
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, png, 0o600); err != nil { //nolint:gosec // where the developer wants it
		p.T.Fatal(err)
	}
	p.T.Logf("screenshot: %s, %d bytes", file, len(png))
}

// Prefers makes the page's reader one who likes dark or light.
func (p *Page) Prefers(scheme string) {
	p.T.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(p.Ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.T.Fatal(err)
	}
}
