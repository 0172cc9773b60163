// Package chromium starts a headless Chromium for the few tests that need a
// rendered page: layout at 320 px, passkeys, pictures for the documentation.
//
// What a page says and does is tested by stories, without it.
//
// Trust: none is asked for; only tests import it. The browser runs without its
// sandbox, so it opens pages of our own server and nothing else.
package chromium

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long a whole test may take in the browser.
const patience = 10 * time.Minute

// New starts a browser of its own for the test and gives a chromedp context with
// one empty tab; both end with the test, at the latest after ten minutes. A
// missing browser fails the test with the Debian package's name.
func New(t testing.TB) context.Context {
	t.Helper()
	binary, err := find(exec.LookPath)
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	options = append(options,
		chromedp.ExecPath(binary),
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true), // containers have little of it
		// The network in the browser's own process: a process of its own would write
		// into the profile's folder after the browser has ended and the folder is gone.
		chromedp.Flag("enable-features", "NetworkServiceInProcess2"),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "zh-CN"),
		chromedp.WSURLReadTimeout(time.Minute), // the first start on a busy machine
	)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, options...)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("chromium: closing: %v", err)
		}
		closeTab()
		stopBrowser()
		stop()
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("chromium: %s does not start: %v", binary, err)
	}
	return ctx
}

// Screenshot opens address at a width in CSS pixels and writes the whole page to
// path as a PNG, two device pixels to one so that Chinese text is legible.
func Screenshot(ctx context.Context, address string, width int, path string) error {
	var picture []byte
	err := chromedp.Run(ctx,
		chromedp.EmulateViewport(int64(width), 800, chromedp.EmulateScale(2)),
		chromedp.Navigate(address),
		chromedp.FullScreenshot(&picture, 100), // 100 means PNG
	)
	if err != nil {
		return fmt.Errorf("chromium: picture of %.80s: %w", address, err)
	}
	return os.WriteFile(path, picture, 0o644)
}

// names are what Chromium is called, Debian's first.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// find looks for the browser's program.
func find(look func(string) (string, error)) (string, error) {
	for _, name := range names {
		if path, err := look(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is on the PATH: install the Debian package chromium", strings.Join(names, ", "))
}
