package main

import (
	"errors"
	"image/color"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotColumns = 2
	plotWidth   = 24 * vg.Centimeter
	barPitch    = 0.5 * vg.Centimeter
)

// plot draws the calls per second of each peer, a panel for each cell.
func (all *results) plot(path string) error {
	most := 0
	var panels [][]*plot.Plot
	for i, c := range all.cells {
		rows := all.rows(c)
		most = max(most, len(rows))
		p, err := panel(c, rows)
		if err != nil {
			return err
		}
		if i%plotColumns == 0 {
			panels = append(panels, make([]*plot.Plot, plotColumns))
		}
		panels[i/plotColumns][i%plotColumns] = p
	}
	return drawPanels(panels, vg.Length(most)*barPitch+1.5*vg.Centimeter, path)
}

// drawPanels writes rows of panels as high as given.
func drawPanels(panels [][]*plot.Plot, high vg.Length, path string) (err error) {
	height := vg.Length(len(panels)) * high
	canvas := vgsvg.New(plotWidth, height)
	tiles := draw.Tiles{Rows: len(panels), Cols: plotColumns, PadX: 4 * vg.Millimeter, PadY: 4 * vg.Millimeter}
	for r, drawn := range plot.Align(panels, tiles, draw.New(canvas)) {
		for column := range drawn {
			if p := panels[r][column]; p != nil {
				p.Draw(drawn[column])
			}
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = canvas.WriteTo(f)
	return err
}

// panel is a bar for each peer, the fastest at the top.
func panel(c cell, rows []row) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.String() + ": calls per second (× " + base + ")"
	p.X.Min = 0
	p.HideX()
	names := make([]string, len(rows))
	ours, others := make(plotter.Values, len(rows)), make(plotter.Values, len(rows))
	figures := plotter.XYLabels{XYs: make(plotter.XYs, len(rows)), Labels: make([]string, len(rows))}
	for i := range rows {
		r := rows[len(rows)-1-i]
		names[i] = r.peer
		if strings.HasPrefix(r.peer, "pktsvc") {
			ours[i] = r.ops
		} else {
			others[i] = r.ops
		}
		p.X.Max = max(p.X.Max, 1.3*r.ops) // room for the figure
		figures.XYs[i].X, figures.XYs[i].Y = r.ops, float64(i)
		figures.Labels[i] = " " + figure(r)
	}
	for _, of := range []struct {
		values plotter.Values
		colour color.Color
	}{
		{others, color.Gray{Y: 0xb0}},
		{ours, color.RGBA{R: 0x2f, G: 0x6f, B: 0xb5, A: 0xff}},
	} {
		bars, err := plotter.NewBarChart(of.values, 0.6*barPitch)
		if err != nil {
			return nil, err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, of.colour, 0
		p.Add(bars)
	}
	labels, err := plotter.NewLabels(figures)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = draw.YCenter
	}
	p.Add(labels)
	right := p.X.Max
	p.NominalY(names...)
	p.X.Max = right
	return p, nil
}
