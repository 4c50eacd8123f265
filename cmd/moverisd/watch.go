package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"
	"github.com/mattn/go-isatty"

	"github.com/moverisd/moverisd/internal/api"
)

const (
	watchInterval = 2 * time.Second
	seriesTime    = time.Second // a plot that comes late is left out
	plotHeight    = 4           // rows, without its title
	plotWidthMin  = 30          // columns: on less there are no plots
)

// watch draws the status again and again until the person leaves, and returns the last one.
// The terminal is then as it was before, whatever ended it.
func (a *app) watch(ctx context.Context) (findings, error) {
	out, ok := a.out.(*os.File)
	if !ok || !isatty.IsTerminal(out.Fd()) || a.output != formText {
		return findings{}, errors.New("--watch needs a terminal and the form text; without it, repeat `moverisd status` yourself")
	}
	s, err := openScreen(out, a.in)
	if err != nil {
		return findings{}, err
	}
	defer s.close()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var f findings
	for {
		// What was asked for is found out even if the person leaves meanwhile: the exit code is
		// the last judgement.
		f = a.inspect(context.WithoutCancel(ctx))
		width, height := s.size()
		if err := s.draw(frame(f, a.lastHour(ctx, f), width, height, a.color())); err != nil {
			return f, err
		}
		select {
		case <-tick.C:
		case <-resized:
		case <-s.quit:
			return f, nil
		case <-ctx.Done():
			return f, nil
		}
	}
}

// lastHour asks for what the plots are made of; nil where it cannot be had.
func (a *app) lastHour(ctx context.Context, f findings) *api.Series {
	if f.blind || f.report.Via != "socket" {
		return nil
	}
	p, err := a.place()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seriesTime)
	defer cancel()
	series, err := api.NewClient(p.socket).Series(ctx)
	if err != nil || len(series.Deliveries) == 0 {
		return nil
	}
	return &series
}

// frame is the screen, as lines that fit it.
func frame(f findings, series *api.Series, width, height int, color bool) []string {
	head, figures := &strings.Builder{}, &strings.Builder{}
	if f.said != "" {
		fmt.Fprintf(head, "%s\n", clean(f.said))
	}
	f.report.Head(head, color)
	if !f.blind {
		f.report.Figures(figures)
	}
	lines := wrap(head.String(), width)
	rest := wrap(figures.String(), width)
	foot := "every 2 s, " + time.Now().UTC().Format("15:04:05") + " UTC, q ends it"
	plots := plotsOf(series, width)
	// The judgement comes first, then what fits: the plots, then the figures.
	if len(lines)+len(plots)+3 <= height {
		lines = append(append(lines, ""), plots...)
	}
	lines = append(append(lines, ""), rest...)
	if over := len(lines) - (height - 1); over > 0 {
		lines = lines[:max(height-2, 0)]
		foot = fmt.Sprintf("… %d more lines; %s", over+1, foot)
		lines = append(lines, "")
	}
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return append(lines, cut(foot, width))
}

// plotsOf draws the last hour: two plots beside each other where there is room, and the lag.
func plotsOf(s *api.Series, width int) []string {
	if s == nil || width < plotWidthMin {
		return nil
	}
	n := len(s.Deliveries) - 1 // the last minute is not over yet
	lag := make([]float64, n)
	for i, l := range s.Lag[:n] {
		if l != nil {
			lag[i] = *l
		}
	}
	titles := []string{"deliveries a minute, last hour", "rescues a minute (first told by a poll)", "webhook lag, median seconds"}
	data := [][]float64{floats(s.Deliveries[:n]), floats(s.Rescues[:n]), lag}
	beside := max(1, min(3, width/42))
	each := width/beside - 2
	var rows [][]string
	for i, d := range data {
		rows = append(rows, plot(titles[i], d, each))
	}
	var lines []string
	for len(rows) > 0 {
		k := min(beside, len(rows))
		for y := range rows[0] {
			var b strings.Builder
			for x := range k {
				b.WriteString(pad(rows[x][y], each+2))
			}
			lines = append(lines, strings.TrimRight(b.String(), " "))
		}
		if rows = rows[k:]; len(rows) > 0 {
			lines = append(lines, "")
		}
	}
	return lines
}

// plot is a title and a fixed number of rows.
func plot(title string, data []float64, width int) []string {
	top := 1.0
	for _, v := range data {
		top = max(top, v)
	}
	const axis = 9 // columns of the numbers
	text := asciigraph.Plot(data, asciigraph.Height(plotHeight), asciigraph.Width(max(width-axis, 10)),
		asciigraph.LowerBound(0), asciigraph.UpperBound(top), asciigraph.Precision(precision(top)))
	rows := []string{cut(title, width)}
	for row := range strings.Lines(text) {
		rows = append(rows, cut(strings.TrimRight(row, "\n"), width))
	}
	for len(rows) < plotHeight+2 {
		rows = append(rows, "")
	}
	return rows[:plotHeight+2]
}

func precision(top float64) uint {
	if top < 10 {
		return 1
	}
	return 0
}

func floats(counts []int64) []float64 {
	out := make([]float64, len(counts))
	for i, n := range counts {
		out[i] = float64(n)
	}
	return out
}

// wrap breaks lines that are too wide at blanks; what follows stands under the text.
func wrap(text string, width int) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		indent := strings.Repeat(" ", min(max(len(line)-len(strings.TrimLeft(line, " ")), 2), width/3))
		if i := strings.Index(line, "→ "); i >= 0 {
			indent += "  "
		}
		for columns(line) > width {
			at := lastBlank(line, width)
			if at <= len(indent) {
				break
			}
			out = append(out, line[:at])
			line = indent + strings.TrimLeft(line[at:], " ")
		}
		out = append(out, cut(line, width))
	}
	return out
}

// lastBlank is the index of the last blank that leaves a line of at most width columns.
func lastBlank(line string, width int) int {
	at, column := 0, 0
	eachColumn(line, func(i int, r rune) bool {
		if r == ' ' && column <= width {
			at = i
		}
		column++
		return column <= width
	})
	return at
}

// columns is how wide a line is; colours take no room.
func columns(line string) int {
	n := 0
	eachColumn(line, func(int, rune) bool { n++; return true })
	return n
}

// cut leaves as much of a line as fits, and ends its colour.
func cut(line string, width int) string {
	if columns(line) <= width {
		return line
	}
	n, end := 0, len(line)
	eachColumn(line, func(i int, r rune) bool {
		if n++; n == width {
			end = i
		}
		return n < width
	})
	line = line[:end] + "…"
	if strings.Contains(line, "\x1b") {
		line += "\x1b[0m"
	}
	return line
}

func pad(line string, width int) string {
	return line + strings.Repeat(" ", max(width-columns(line), 0))
}

// eachColumn calls f for each rune that takes a column, until it returns false.
func eachColumn(line string, f func(i int, r rune) bool) {
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			end := strings.IndexByte(line[i:], 'm')
			if end < 0 {
				return
			}
			i += end + 1
			continue
		}
		r, size := utf8.DecodeRuneInString(line[i:])
		if !f(i, r) {
			return
		}
		i += size
	}
}
