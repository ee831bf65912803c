package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/internal/process"
)

// inModule makes a module with a go.mod, and works in a folder deep within it.
func inModule(t *testing.T, goMod string) (root string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	deep := filepath.Join(root, "flows", "deep")
	require.NoError(t, os.MkdirAll(deep, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte(goMod), 0o600))
	t.Chdir(deep)
	return root
}

func TestTheSourcesAreFoundFromWithinThemAndFromAModuleThatReplacesThem(t *testing.T) {
	root := inModule(t, "// The product.\nmodule redial // this one\n\ngo 1.26\n")
	found, err := process.Checkout()
	require.NoError(t, err)
	require.Equal(t, root, found)

	for name, goMod := range map[string]string{
		"replaced":                    "module example.com/flows\n\nreplace redial => " + root + "\n",
		"replaced among others":       "module example.com/flows\n\nreplace (\n\tgo.uber.org/zap => ../zap\n\tredial => " + root + " // not published\n)\n",
		"replaced by a relative path": "module example.com/flows\n\nreplace redial => ../../" + filepath.Join(filepath.Base(filepath.Dir(root)), filepath.Base(root)) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			inModule(t, goMod)
			found, err := process.Checkout()
			require.NoError(t, err)
			require.Equal(t, root, found)
		})
	}
}

func TestABinaryIsFoundInTheSourcesThatAFlowAuthorsModuleReplacesRedialBy(t *testing.T) {
	root := inModule(t, "module redial\n")
	binary := filepath.Join(root, "bin", "a-binary-of-this-test")
	require.NoError(t, os.Mkdir(filepath.Dir(binary), 0o755))
	require.NoError(t, os.WriteFile(binary, nil, 0o700))
	inModule(t, "module example.com/flows\n\nreplace redial => "+root+"\n")
	found, _ := process.FindBuilt("a-binary-of-this-test")
	require.Equal(t, binary, found)
}

func TestAModuleThatHasNothingToDoWithRedialIsPassedBy(t *testing.T) {
	for _, goMod := range []string{"module example.com/redial\n", "module example.com/flows\n\nreplace redial => ./nowhere\n", "module redialer\n"} {
		root := inModule(t, goMod)
		found, _ := process.Checkout() // by the test's own executable, perhaps
		require.NotContains(t, found, root)
	}
}
