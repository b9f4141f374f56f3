// Package browsertest starts Chromium for tests of pages.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Start starts one Chromium with a fresh profile and these flags besides those that keep it quiet. It ends with the test.
func Start(t *testing.T, flags ...string) context.Context {
	t.Helper()
	flags = append([]string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"}, flags...)
	opts := make([]chromedp.ExecAllocatorOption, 0, 6+len(flags))
	opts = append(opts, chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun)
	for _, flag := range flags {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancelBrowser := chromedp.NewContext(allocator)
	t.Cleanup(cancelBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits for the process
			t.Error(err)
		}
	})
	return ctx
}

// chromium finds the browser. A machine without one skips the page's tests, unless it is the one that has to run them all.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no chromium on this machine: apt-get install chromium")
	}
	t.Skip("no chromium on this machine: apt-get install chromium")
	return ""
}
