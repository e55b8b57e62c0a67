package main

import (
	"image/color"
	"math"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

const curveHeight = 7 * vg.Centimeter

// plot draws a file for each section that has curves.
func (all points) plot(dir string) error {
	var idle, growth, age [][]*plot.Plot
	add := func(to *[][]*plot.Plot, panels ...graph) error {
		var row []*plot.Plot
		for _, g := range panels {
			p, err := all.draw(g)
			if err != nil {
				return err
			}
			row = append(row, p)
		}
		*to = append(*to, row)
		return nil
	}
	if len(all.xs(partIdle)) > 0 {
		err := add(&idle,
			graph{part: partIdle, title: "server's resident memory, settled", x: "idle connections", y: "MiB", of: residentOf, legend: true},
			graph{part: partIdle, title: "a busy connection beside them", x: "idle connections", y: "calls/s", of: opsOf})
		if err != nil {
			return err
		}
	}
	for _, c := range growthCurves {
		if len(all.xs(c.part)) == 0 {
			continue
		}
		err := add(&growth,
			graph{part: c.part, title: c.title, x: c.axis, y: "CPU µs a call", of: cpuOf, logX: true, logY: true, legend: true},
			graph{part: c.part, x: c.axis, y: "calls/s", of: opsOf, logX: true, logY: true})
		if err != nil {
			return err
		}
	}
	if len(all.xs(partAge)) > 0 {
		err := add(&age,
			graph{part: partAge, title: "CPU of a call", x: "requests made", y: "CPU µs a call", of: cpuOf, logX: true, logY: true, legend: true},
			graph{part: partAge, title: "server's resident memory, settled", x: "requests made", y: "MiB", of: residentOf, logX: true})
		if err != nil {
			return err
		}
	}
	for name, panels := range map[string][][]*plot.Plot{"scale-idle.svg": idle, "scale-growth.svg": growth, "scale-age.svg": age} {
		if len(panels) == 0 {
			continue
		}
		if err := drawPanels(panels, curveHeight, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// graph is one panel: a line for each peer.
type graph struct {
	part, title string
	x, y        string
	of          func(Point) float64
	logX, logY  bool
	legend      bool // once a row is enough
}

var lineColours = map[string]color.Color{
	base:              color.Gray{Y: 0x90},
	"pktsvc":          color.RGBA{R: 0x2f, G: 0x6f, B: 0xb5, A: 0xff},
	"pktsvc-observed": color.RGBA{R: 0xd0, G: 0x7a, B: 0x20, A: 0xff},
	agedPeer:          color.RGBA{R: 0x2f, G: 0x6f, B: 0xb5, A: 0xff},
}

func (all points) draw(g graph) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = g.title, g.x, g.y
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	for _, peer := range all.peers(g.part) {
		var xys plotter.XYs
		for _, x := range all.xs(g.part) {
			y := all.of(g.part, peer, x).median(g.of)
			if (y > 0 || !g.logY) && (x > 0 || !g.logX) { // what failed, and what a logarithm has no place for
				xys = append(xys, plotter.XY{X: float64(x), Y: y})
			}
		}
		if len(xys) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		colour, known := lineColours[peer]
		if !known {
			colour = color.Black
		}
		line.Color, line.Width, dots.Color = colour, vg.Points(1.5), colour
		p.Add(line, dots)
		if g.legend {
			p.Legend.Add(peer, line, dots)
		}
	}
	if g.logX {
		logarithmic(&p.X)
	}
	if g.logY {
		logarithmic(&p.Y)
	} else {
		p.Y.Min = 0
		p.Y.Max *= 1.35 // room for the legend
	}
	return p, nil
}

// logarithmic makes an axis one of whole powers of ten around the data, if there is any.
func logarithmic(a *plot.Axis) {
	if a.Min <= 0 || math.IsInf(a.Min, 0) {
		return
	}
	low, high := int(math.Floor(math.Log10(a.Min))), int(math.Ceil(math.Log10(a.Max)))
	high = max(high, low+1)
	a.Min, a.Max = math.Pow10(low), math.Pow10(high)
	a.Scale = plot.LogScale{}
	var ticks plot.ConstantTicks
	for power := low; power <= high; power++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow10(power), Label: powerText(power)})
		for digit := 2.; digit < 10 && power < high; digit++ {
			ticks = append(ticks, plot.Tick{Value: digit * math.Pow10(power)})
		}
	}
	a.Tick.Marker = ticks
}

func powerText(power int) string {
	if power < 0 {
		return strconv.FormatFloat(math.Pow10(power), 'f', -power, 64)
	}
	units := []string{"", " k", " M", " G", " T"}
	unit := min(power/3, len(units)-1)
	return strconv.FormatFloat(math.Pow10(power-3*unit), 'f', 0, 64) + units[unit]
}
