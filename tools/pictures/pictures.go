package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

type action = chromedp.Action[chromedp.Void]

// picture is one of a page, of the UI most often. Selectors are CSS.
type picture struct {
	name     string
	page     string            // its address
	settings map[string]string // of the UI, beside those of openUI
	ready    string            // JavaScript that is true when the page has all that is to be seen
	before   []action          // what is done to it then
	crop     string            // from the first of these elements to the last
	after    []action          // what is done when the picture is taken
}

// pictures are those of docs/operating.md, in the order in which they are taken: a run's timeline is clear while the run is young, and what
// is sent from the UI stands in the list after it.
func (p *product) pictures(ctx context.Context, views map[string]view) ([]picture, error) {
	story, err := p.page(ctx, subject)
	if err != nil {
		return nil, err
	}
	other, err := p.page(ctx, updated)
	if err != nil {
		return nil, err
	}
	const heading = "[data-testid=workflow-id-heading]"
	due := strings.Replace(views["due"].Query, "2099-01-01", time.Now().UTC().AddDate(0, 0, 3).Format(time.DateOnly), 1)
	return []picture{
		{
			name: "run-timeline", page: story + "/history",
			settings: wholeTimeline,
			ready:    inTimeline("machine, retry"),
			crop:     timeline,
		},
		{
			name: "run-details", page: story + "/user-metadata",
			ready: frames + `.some(f => f.contentDocument?.body?.innerText.includes("no_answer"))`,
			// The UI cuts the frame's last lines off, which a person scrolls to.
			before: []action{do(frames + `.forEach(f => f.style.height = f.contentDocument.documentElement.scrollHeight + "px")`)},
			crop:   heading + ", iframe, div.border-subtle.px-3",
		},
		sendingAnUpdate(other),
		{
			name: "view-paused", page: p.uiURL + list + url.QueryEscape(views["paused"].Query),
			ready: rows + ".length == 3",
			crop:  "h1, [data-testid=waiting]",
		},
		{
			name: "view-due", page: p.uiURL + list + url.QueryEscape(due),
			settings: map[string]string{"savedQueryNavOpen": "false"},
			ready:    rows + ".length == 6",
			crop:     "h1, [data-testid=workflows-summary-configurable-table-row]",
		},
	}, nil
}

// wholeTimeline are the settings with which a run's timeline shows all that happened, from above.
var wholeTimeline = map[string]string{"minimizeEventView": "false", "eventFilterSort": `"ascending"`}

// inTimeline is true when a run's timeline has a bar of that name.
func inTimeline(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("svg text")].some(t => t.textContent.includes(%q))`, name)
}

// sendingAnUpdate is the dialog by which a run is paused, which is sent when the picture is taken.
func sendingAnUpdate(page string) picture {
	return picture{
		name: "update", page: page + "/user-metadata",
		ready: `document.querySelector("[data-testid=update-button]") && ` + frames + `.length > 1`,
		before: []action{
			click("button[aria-controls=workflow-actions]", ""),
			click("[data-testid=update-button]", ""),
			click("[data-testid=update-select-button]", ""),
			click("#update-select-select li", "pause"),
			wait(`!document.querySelector("#update-confirmation-modal[open] button[type=submit]").disabled`),
			click("#update-confirmation-modal[open] [contenteditable=true]", ""),
			// As the editor lays it out when it is left: that would move the button below it.
			typed("{\n  \"by\": \"the front desk\",\n  \"reason\": \"a complaint is looked into\"\n}"),
			wait(`document.querySelector("#update-confirmation-modal[open]").innerText.includes("looked into")`),
			do(`document.activeElement.blur()`),
		},
		crop: "#update-confirmation-modal[open]",
		after: []action{
			click("#update-confirmation-modal[open] button[type=submit]", ""),
			wait(`!document.querySelector("#update-confirmation-modal[open]")`),
		},
	}
}

const (
	timeline = "[data-testid=expandAll], svg.-mt-4" // with the heading above it

	list   = "/namespaces/default/workflows?query="
	frames = `[...document.querySelectorAll("iframe")]`
	rows   = `document.querySelectorAll("[data-testid=workflows-summary-configurable-table-row]")`
)

// page is the address of a run's pages.
func (p *product) page(ctx context.Context, id string) (string, error) {
	var shown struct {
		WorkflowID string `json:"workflow_id"`
		RunID      string `json:"first_run_id"`
	}
	err := p.ask(ctx, &shown, "show", workflowID(id))
	return fmt.Sprintf("%s/namespaces/default/workflows/%s/%s", p.uiURL, url.PathEscape(shown.WorkflowID), shown.RunID), err
}

// do runs JavaScript in the page.
func do(script string) action {
	return chromedp.Evaluate[chromedp.Void]("void " + script)
}

// wait waits until a JavaScript expression is true.
func wait(expression string) action {
	return chromedp.Poll[chromedp.Void]("Boolean(" + expression + ")")
}

// point is a place in the window.
type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// click clicks, with the mouse, on the first element of a selector that is to be seen and holds the text; "" is any. The UI has some
// elements once for each size of the window, and shows one; and its dialogs take a click from a script for one beside them, and close.
func click(selector, text string) action {
	script := fmt.Sprintf(`[...document.querySelectorAll(%q)].filter(e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}))
		.filter(e => e.innerText.trim().includes(%q)).map(e => e.getBoundingClientRect()).filter(b => b.width > 0)
		.map(b => ({x: b.x + b.width / 2, y: b.y + b.height / 2}))[0]`, selector, text)
	return func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		if _, err := wait(still)(ctx, t); err != nil {
			return none, err
		}
		at, err := chromedp.Poll[point](script)(ctx, t)
		if err != nil {
			return none, fmt.Errorf("click %s: %w", selector, err)
		}
		return chromedp.MouseClickXY(at.X, at.Y)(ctx, t)
	}
}

// typed is text that is typed where the cursor is, at one stroke: the editor would add brackets to those of a slow typist.
func typed(text string) action {
	return func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return none, err
	}
}
