package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Pages that no command has of itself: the daemon's and its configuration's.
//
//go:embed man/*.md
var manPages embed.FS

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Long: `Write the manual pages: one of section 1 for each command, made from what --help
says, moverisd.toml(5) and moverisd(8).`,
		Example: `  moverisd man ./man && man ./man/moverisd.8`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			if err := writeCommandPages(cmd.Root(), args[0]); err != nil {
				return err
			}
			return writeOtherPages(args[0])
		},
	}
}

// manDate is the date on the pages: none of the day they are made on, so that two builds of one
// version are equal.
func manDate() time.Time { return time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) }

func writeCommandPages(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true
	date := manDate()
	header := &doc.GenManHeader{Title: "MOVERISD", Section: "1", Date: &date, Source: "moverisd", Manual: "Commands of moverisd"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the manual pages of the commands: %w", err)
	}
	return nil
}

func writeOtherPages(dir string) error {
	entries, err := manPages.ReadDir("man")
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := manPages.ReadFile("man/" + e.Name())
		if err != nil {
			return err
		}
		path := filepath.Join(dir, strings.TrimSuffix(e.Name(), ".md"))
		if err := os.WriteFile(path, md2man.Render(text), 0o644); err != nil {
			return fmt.Errorf("write a manual page: %w", err)
		}
	}
	return nil
}
