// Command which prints the temporal CLI that Redial would use, or says why there is none, so that the Makefile
// and the product follow one rule.
package main

import (
	"fmt"
	"os"

	"redial/internal/devserver"
)

func main() {
	path, err := devserver.Find()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
