package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/buildkite/terminal-to-html/v3"
	"github.com/creack/pty"
)

// The size of the demo's terminal. Its longest lines are the addresses of runs.
const (
	terminalColumns = 132
	terminalLines   = 72
)

// demo is redial demo, in a terminal. terminal-to-html keeps the screen, because it is maintained (releases in 2026), understands the demo's
// redrawing and gives HTML; the newest vt10x is of 2022.
type demo struct {
	process
	screen *terminal.Screen
}

// startDemo runs the demo to its end, after which it stays up.
func startDemo(ctx context.Context, binary string) (d *demo, err error) {
	d = &demo{}
	if d.screen, err = terminal.NewScreen(terminal.WithSize(terminalColumns, terminalLines)); err != nil {
		return nil, err
	}
	if d.process, err = prepare(ctx, binary, "demo", "--keep"); err != nil {
		return nil, err
	}
	d.command.Env = append(d.command.Env, "TERM=xterm-256color")
	tty, err := pty.StartWithSize(d.command, &pty.Winsize{Cols: terminalColumns, Rows: terminalLines})
	if err != nil {
		return nil, d.notStarted(err)
	}
	if !d.listen(tty) {
		_ = d.stop() // how it ended says less than what it said
		return nil, fmt.Errorf("redial demo has ended: %s", d.screen.AsPlainText())
	}
	if d.uiURL, err = d.address("Temporal UI:"); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// stayingUp is what the demo says when it has shown everything. Where its files are, behind it, is of this machine, and in no picture.
const stayingUp = "\nStaying up"

// listen waits until the demo stays up, and lets it say the rest to nobody. False: it has ended before.
func (d *demo) listen(tty io.ReadCloser) bool {
	for said := make([]byte, 4096); ; {
		n, err := tty.Read(said)
		_, _ = d.screen.Write(said[:n])
		if strings.Contains(d.screen.AsPlainText(), stayingUp) {
			go func() {
				_, _ = io.Copy(io.Discard, tty)
				_ = tty.Close()
			}()
			return true
		}
		if err != nil {
			_ = tty.Close()
			return false
		}
	}
}

// address is the one on the screen that stands behind a name.
func (d *demo) address(name string) (string, error) {
	found := regexp.MustCompile(regexp.QuoteMeta(name) + ` +(http\S+)`).FindStringSubmatch(d.screen.AsPlainText())
	if found == nil {
		return "", fmt.Errorf("redial demo has said no address of %q:\n%s", name, d.screen.AsPlainText())
	}
	return found[1], nil
}

// pictures are those of README.md. The settings of the UI can be changed while the tab shows a page of it, and not after the terminal.
func (d *demo) pictures() ([]picture, error) {
	run, err := d.address("greta")
	if err != nil {
		return nil, err
	}
	return []picture{
		{
			name: "run", page: run,
			settings: wholeTimeline,
			ready:    inTimeline("held: lines_busy") + " && " + inTimeline("give up on attempt 3"),
			crop:     timeline,
		},
		{name: "demo", page: d.shown(), ready: `document.querySelector("pre")`, crop: "pre"},
	}, nil
}

// terminalPage shows a screen. A line is as high as the font draws its boxes, and a cell is nine pixels wide and begins with a pixel: so the
// boxes are closed, and a letter looks the same wherever it stands, by which the picture is small.
const terminalPage = `<!doctype html><meta charset="utf-8"><style>
body { margin: 12px 0 12px %dpx; background: #16181d }
pre { margin: 0; padding: 17px 46px 0; color: #e6e6e6; font: 14.5px/17px "DejaVu Sans Mono", monospace; letter-spacing: .27px }
.term-fg32 { color: #7ee787 } .term-fg35 { color: #f07ff5 } .term-fgi90 { color: #9aa1ab }
</style><pre>%s</pre>`

// shown is the address of a page that shows the screen.
func (d *demo) shown() string {
	screen, _, _ := strings.Cut(d.screen.AsHTML(), stayingUp)
	return "data:text/html;base64," + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, terminalPage, menu, screen))
}
