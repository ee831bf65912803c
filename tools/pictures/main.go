// Program pictures makes the pictures of docs/operating.md anew: it runs redial dev in a folder of its own, brings contacts into every
// state, steers some, and takes what Temporal's UI shows of them in Chromium. It is a module of its own, because it drives a browser.
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
	fmt.Println("bringing contacts into every state…")
	p, err := startProduct(ctx, filepath.Join(root, "bin", "redial"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.populate(ctx); err != nil {
		return err
	}
	u, err := openUI(ctx, p.uiURL, views)
	if err != nil {
		return err
	}
	defer u.close()
	return p.take(ctx, u, views, filepath.Join(root, "docs", "pictures"))
}

// take takes all pictures into a folder.
func (p *product) take(ctx context.Context, u *ui, views map[string]view, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	all, err := p.pictures(ctx, views)
	if err != nil {
		return err
	}
	for _, picture := range all {
		size, err := u.take(picture, filepath.Join(folder, picture.name+".png"))
		if err != nil {
			return fmt.Errorf("%s: %w", picture.name, err)
		}
		fmt.Printf("docs/pictures/%s.png: %d KB\n", picture.name, (size+1023)/1024)
	}
	return p.await(ctx, map[string]string{updated: "paused paused busy"})
}
