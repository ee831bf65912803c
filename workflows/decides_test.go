package workflows_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a flow decides by may change under it while it sleeps: presets, zones, defaults. So nothing in this package works out a
// decision; it takes those that activities have recorded, and its replay does not depend on the data of the day.
func TestNoWorkflowCodeEvaluatesAPolicyAPresetOrAZone(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	forbidden := map[string]bool{"Decide": true, "Clear": true, "FindPreset": true, "Presets": true, "WithDefaults": true, "DefaultRules": true,
		"LoadLocation": true, "Zone": true, "Zones": true, "Local": true}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, i := range syntax.Imports {
			require.NotContains(t, []string{`"redial/phone"`, `"redial/ledger"`}, i.Path.Value, file)
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			if c, is := n.(*ast.CallExpr); is {
				if s, is := c.Fun.(*ast.SelectorExpr); is {
					require.False(t, forbidden[s.Sel.Name], "%s calls %s", file, s.Sel.Name)
				}
			}
			return true
		})
	}
}
