// Program pictures makes the pictures of the documents anew, in Chromium. For README.md it runs redial demo, and takes what the terminal
// shows in the end, and one of its runs in Temporal's UI. For docs/operating.md it runs redial dev, brings contacts into every state, steers
// some, and takes what Temporal's UI shows of them. It is a module of its own, because it drives a browser.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long all of it may take.
const patience = 5 * time.Minute

func main() {
	root := flag.String("root", "../..", "folder of the product's sources, with bin/redial built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := makePictures(ctx, *root); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func makePictures(ctx context.Context, root string) (err error) {
	views, err := readViews(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		return err
	}
	binary, err := filepath.Abs(filepath.Join(root, "bin", "redial"))
	if err != nil {
		return err
	}
	a := album{folder: filepath.Join(root, "docs", "pictures"), views: views}
	if err := os.MkdirAll(a.folder, 0o755); err != nil {
		return err
	}
	if err := a.ofDemo(ctx, binary); err != nil {
		return err
	}
	return a.ofProduct(ctx, binary)
}

// album is where the pictures go, and what the views in them are.
type album struct {
	folder string
	views  map[string]view
}

func (a album) ofDemo(ctx context.Context, binary string) (err error) {
	fmt.Println("running the demo…")
	d, err := startDemo(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	all, err := d.pictures()
	if err != nil {
		return err
	}
	return a.take(ctx, d.uiURL, all)
}

func (a album) ofProduct(ctx context.Context, binary string) (err error) {
	fmt.Println("bringing contacts into every state…")
	p, err := startProduct(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.populate(ctx); err != nil {
		return err
	}
	all, err := p.pictures(ctx, a.views)
	if err != nil {
		return err
	}
	if err := a.take(ctx, p.uiURL, all); err != nil {
		return err
	}
	return p.await(ctx, map[string]string{updated: "paused paused busy"})
}

// take takes pictures in a browser of their own.
func (a album) take(ctx context.Context, uiURL string, all []picture) error {
	u, err := openUI(ctx, uiURL, a.views)
	if err != nil {
		return err
	}
	defer u.close()
	for _, picture := range all {
		size, err := u.take(picture, filepath.Join(a.folder, picture.name+".png"))
		if err != nil {
			return fmt.Errorf("%s: %w", picture.name, err)
		}
		fmt.Printf("docs/pictures/%s.png: %d KB\n", picture.name, (size+1023)/1024)
	}
	return nil
}
