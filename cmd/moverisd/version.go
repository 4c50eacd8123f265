package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/moverisd/moverisd/internal/status"
)

// version is what a release is built with: -ldflags "-X main.version=1.2.3".
var version string

// programVersion is the version of this program, as well as it is known.
func programVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// schema is the schema of the store that this program reads and writes, as every status
// report says it.
func schema() int { return status.Judge(status.Facts{}).Store.Schema }

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of the program, of Go and of the store",
		Example: "  moverisd version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !a.json() {
				return a.print("moverisd %s (%s, schema %d)", programVersion(), runtime.Version(), schema())
			}
			return writeJSON(a, struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				Schema  int    `json:"schema"`
			}{programVersion(), runtime.Version(), schema()})
		},
	}
}
