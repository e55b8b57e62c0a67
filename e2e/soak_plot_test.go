package e2e

import (
	"os"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plot draws each series over time, one below the other: their units differ.
func (r *soakReport) plot(t *testing.T, path string) {
	t.Helper()
	const width, height = 18 * vg.Centimeter, 3.6 * vg.Centimeter
	rows := make([][]*plot.Plot, len(soakSeries))
	for i, series := range soakSeries {
		p := plot.New()
		p.Title.Text = series.name
		p.Y.Min = 0
		points := make(plotter.XYs, len(r.samples))
		for k, s := range r.samples {
			points[k].X, points[k].Y = s.at.Minutes(), s.values[i]
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			t.Fatal(err)
		}
		p.Add(plotter.NewGrid(), line)
		if p.Y.Max *= 1.1; p.Y.Max <= 0 {
			p.Y.Max = 1
		}
		if i == len(soakSeries)-1 {
			p.X.Label.Text = "minutes"
		}
		rows[i] = []*plot.Plot{p}
	}
	canvas := vgsvg.New(width, height*vg.Length(len(rows)))
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: vg.Millimeter * 2}
	for i, row := range plot.Align(rows, tiles, draw.New(canvas)) {
		rows[i][0].Draw(row[0])
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := canvas.WriteTo(f); err != nil {
		t.Fatal(err)
	}
}
