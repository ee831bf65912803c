package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// view is a query of the operators' guide, as the UI keeps a saved view.
type view struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Query string `json:"query"`
	Type  string `json:"type"`
}

var viewBlock = regexp.MustCompile("(?m)^<!-- view: ([a-z ]+) -->\n```text\n([^`]+)\n```$")

// readViews are the views of a document, by their names.
func readViews(file string) (map[string]view, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	views := map[string]view{}
	for _, m := range viewBlock.FindAllStringSubmatch(string(text), -1) {
		name := strings.ToUpper(m[1][:1]) + m[1][1:]
		views[m[1]] = view{ID: strings.ReplaceAll(m[1], " ", "-"), Name: name, Query: m[2], Type: "user"}
	}
	if len(views) == 0 {
		return nil, fmt.Errorf("%s has no views: mark each with <!-- view: NAME -->", file)
	}
	return views, nil
}
