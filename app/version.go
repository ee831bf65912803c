package app

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildID names the sources where the go command cannot, as in an image that is built without their repository:
// go build -ldflags "-X redial/app.buildID=…".
var buildID string

// build is what this binary was made from. A program of one's own over app.Main is one's own build.
type build struct {
	Version string `json:"version"`
	ID      string `json:"build"` // the sources' revision, "-dirty" behind it when they differed from it; "" where nobody said
	Go      string `json:"go"`
}

func thisBuild() build {
	b := build{Version: "(devel)", ID: buildID, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	if b.ID == "" {
		b.ID = revision(info.Settings)
	}
	return b
}

// revision is what the go command wrote down of the sources.
func revision(settings []debug.BuildSetting) string {
	said := map[string]string{}
	for _, s := range settings {
		said[s.Key] = s.Value
	}
	id := said["vcs.revision"]
	if id != "" && said["vcs.modified"] == "true" {
		id += dirty
	}
	return id
}

// dirty marks a build whose sources no revision tells.
const dirty = "-dirty"

func (b build) String() string {
	id := b.ID
	if id == "" {
		id = "unknown"
	}
	return fmt.Sprintf("redial %s, build %s, %s", b.Version, id, b.Go)
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print version, build id and Go version",
		Long: `Print the version of this binary, the id of its build, which is the revision of its sources, and the Go version that built
it. Where REDIAL_DEPLOYMENT is set, workers run under this build id, unless REDIAL_BUILD_ID says another.`,
		Example: `  redial version --json`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(c.OutOrStdout(), thisBuild())
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), thisBuild())
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
