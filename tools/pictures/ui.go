package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	menu       = 64              // wide, at the left of each page, and in no picture
	width      = 1280            // of a picture
	height     = 1600            // of the browser's window
	margin     = 7               // around what a picture shows, above and below
	largest    = 200 << 10       // of a picture, in bytes
	impatience = 5 * time.Second // with a page that does not show yet what it is to show
	tries      = 6               // that it gets
	longest    = time.Minute     // that a picture may take
)

// ui is Temporal's UI in a browser.
type ui struct {
	ctx   context.Context // of the tab
	close func()
}

// openUI starts a browser without a window, whose owner has saved the views and chosen the columns of the list.
func openUI(ctx context.Context, base string, views map[string]view) (*ui, error) {
	settings, err := defaults(views)
	if err != nil {
		return nil, err
	}
	ctx, endBrowser := chromedp.NewExecAllocator(ctx, chromedp.DefaultExecAllocatorOptions[:]...)
	ctx, endTab := chromedp.NewContext(ctx)
	u := &ui{ctx: ctx, close: func() { endTab(); endBrowser() }}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(menu+width, height)); err != nil {
		u.close()
		return nil, fmt.Errorf("start Chromium: %w; install it, as chromium or google-chrome on the PATH", err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(base), set(settings)); err != nil {
		u.close()
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	return u, nil
}

// columns of the list of runs; the first stays when the others are scrolled.
var columns = []string{"Workflow ID", "RedialState", "RedialReason", "RedialNextAction", "RedialAttempts"}

// defaults are settings of the UI, by the names under which it keeps them, as JSON.
func defaults(views map[string]view) (map[string]string, error) {
	type column struct {
		Label  string `json:"label"`
		Pinned bool   `json:"pinned"`
	}
	var chosen []column
	for i, label := range columns {
		chosen = append(chosen, column{label, i == 0})
	}
	list, err := json.Marshal(map[string]any{"default": chosen})
	if err != nil {
		return nil, err
	}
	saved, err := json.Marshal(map[string]any{"default": slices.Collect(maps.Values(views))})
	return map[string]string{
		"namespace-workflow-table-columns": string(list),
		"saved-workflow-queries":           string(saved),
		"dark mode":                        "false",
	}, err
}

// set changes settings, for the pages that are opened from then on.
func set(settings map[string]string) action {
	script := ""
	for name, value := range settings {
		script += fmt.Sprintf("localStorage.setItem(%q, %q);", name, value)
	}
	return do("(() => {" + script + "})()")
}

// take takes a picture into a file, and returns its size in bytes.
func (u *ui) take(p picture, file string) (size int, err error) {
	ctx, cancel := context.WithTimeout(u.ctx, longest)
	defer cancel()
	if err := chromedp.Do(ctx, set(p.settings)); err != nil {
		return 0, err
	}
	if err := u.open(ctx, p); err != nil {
		return 0, err
	}
	if err := chromedp.Do(ctx, append(p.before, wait(still))...); err != nil {
		return 0, err
	}
	shot, err := chromedp.Run(ctx, shoot(p.crop))
	if err != nil {
		return 0, err
	}
	if shot, err = compressed(shot); err != nil {
		return 0, err
	}
	if len(shot) > largest {
		return 0, fmt.Errorf("it has %d bytes, and may have %d: crop it", len(shot), largest)
	}
	if err := os.WriteFile(file, shot, 0o644); err != nil {
		return 0, err
	}
	return len(shot), chromedp.Do(ctx, p.after...)
}

// still is true when the fonts are there, and nothing fades in any more.
const still = `document.fonts.status == "loaded" && document.getAnimations().every(a => a.playState != "running" || a.effect.getTiming().iterations == Infinity)`

// open opens a picture's page. What the UI shows lags behind, and it does not look again by itself.
func (u *ui) open(ctx context.Context, p picture) (err error) {
	for range tries {
		if err := chromedp.Do(ctx, chromedp.Navigate(p.page)); err != nil {
			return err
		}
		_, err = chromedp.Run(ctx, chromedp.Poll[bool]("Boolean("+p.ready+")", chromedp.WithPollingTimeout(impatience)))
		if !errors.Is(err, chromedp.ErrPollingTimeout) {
			return err
		}
	}
	return fmt.Errorf("%w: waited for %s", err, p.ready)
}

// shoot takes the window, from the first of some elements to the last.
func shoot(crop string) chromedp.Action[[]byte] {
	script := fmt.Sprintf(`(() => {
		const boxes = [...document.querySelectorAll(%q)].map(e => e.getBoundingClientRect()).filter(b => b.height > 0);
		const top = Math.max(0, Math.floor(Math.min(...boxes.map(b => b.top)) - %d));
		const bottom = Math.ceil(Math.max(...boxes.map(b => b.bottom)) + %[2]d);
		return {x: %d, y: top, width: %d, height: bottom - top, scale: 1};
	})()`, crop, margin, menu, width)
	return func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		clip, err := chromedp.Evaluate[page.Viewport](script)(ctx, t)
		if err != nil {
			return nil, err
		}
		if clip.Height <= 0 {
			return nil, fmt.Errorf("nothing on the page is %s", crop)
		}
		taken, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng, Clip: &clip})
		return taken.Data, err
	}
}

// compressed is a picture as small as PNG makes it without a loss.
func compressed(shot []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}
