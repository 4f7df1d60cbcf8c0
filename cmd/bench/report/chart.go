package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// WriteSVG draws the report: rates as bars with their range, latencies as three
// points on a logarithmic axis, memory as bars. The picture brings its own
// background and follows the reader's choice of light or dark.
func (r Report) WriteSVG(w io.Writer) error {
	c := &chart{y: chartMargin}
	c.heading(fmt.Sprintf("%s × %d, PostgreSQL %s, RabbitMQ %s, %s",
		r.Machine.Processor, r.Machine.Processors, r.Machine.Postgres, r.Machine.RabbitMQ, r.Machine.Go))
	var rates, latencies, memories []Row
	for _, row := range r.Rows {
		switch {
		case row.Latency.P50.Median > 0:
			latencies = append(latencies, row)
		case row.Rate.Median > 0:
			rates = append(rates, row)
		default:
			memories = append(memories, row)
		}
	}
	c.bars("Messages a second: median, and range of the rounds", rates, Thousands,
		func(row Row) Spread { return row.Rate })
	c.latencies("From publish to delivery, in milliseconds: p50, p99, p99.9", latencies)
	c.bars("Resident memory, in MiB", memories, short, func(row Row) Spread {
		const mebibyte = 1 << 20
		return Spread{row.PeakRSS.Median / mebibyte, row.PeakRSS.Min / mebibyte, row.PeakRSS.Max / mebibyte}
	})
	if _, err := io.WriteString(w, c.document()); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	return nil
}

// The measures of the chart, in pixels.
const (
	chartWidth  = 960
	chartMargin = 20
	plotLeft    = 250
	plotRight   = 800
	rowHeight   = 20
	barHeight   = 12
)

// chart is a picture that grows downwards.
type chart struct {
	body strings.Builder
	y    float64
}

func (c *chart) draw(format string, args ...any) {
	_, _ = fmt.Fprintf(&c.body, format+"\n", args...) // a strings.Builder takes everything
}

func (c *chart) text(x, y float64, class, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // likewise
	c.draw(`<text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, escaped.String())
}

func (c *chart) heading(machine string) {
	c.text(chartMargin, c.y+14, "title", "chat-messaging beside a bare relay and a stock pipeline")
	c.text(chartMargin, c.y+32, "faint", machine)
	c.y += 44
}

// section begins a group of rows.
func (c *chart) section(title string) {
	c.y += 14
	c.text(chartMargin, c.y+12, "title", title)
	c.y += 24
}

// label writes what a row is about; the workload only where it changes.
func (c *chart) label(rows []Row, i int) {
	row := rows[i]
	if i == 0 || rows[i-1].Workload != row.Workload || rows[i-1].Queue != row.Queue {
		if i > 0 {
			c.y += 6
		}
		c.text(chartMargin, c.y+barHeight, "faint", row.Workload+", "+row.Queue)
	}
	c.text(plotLeft-8, c.y+barHeight, "end", row.Variant)
}

// class is the colour of a row: that of its contender.
func class(row Row) string {
	for _, contender := range []string{"A", "B", "C"} {
		if strings.HasPrefix(row.Variant, contender) {
			return "contender-" + strings.ToLower(contender)
		}
	}
	return "contender"
}

func (c *chart) bars(title string, rows []Row, show func(float64) string, value func(Row) Spread) {
	if len(rows) == 0 {
		return
	}
	c.section(title)
	most := 0.0
	for _, row := range rows {
		most = max(most, value(row).Max)
	}
	at := func(v float64) float64 { return plotLeft + (plotRight-plotLeft)*v/max(most, 1) }
	for i, row := range rows {
		c.label(rows, i)
		v, middle := value(row), c.y+rowHeight/2.0-2
		c.draw(`<rect x="%d" y="%.1f" width="%.1f" height="%d" class="%s"/>`,
			plotLeft, c.y+2, max(at(v.Median)-plotLeft, 1), barHeight, class(row))
		if v.Max > v.Min {
			c.draw(`<path d="M%.1f %.1fH%.1f" class="range"/>`, at(v.Min), middle, at(v.Max))
		}
		c.text(at(v.Max)+6, c.y+barHeight, "", show(v.Median))
		c.y += rowHeight
	}
}

func (c *chart) latencies(title string, rows []Row) {
	if len(rows) == 0 {
		return
	}
	c.section(title)
	least, most := math.Inf(1), 0.0
	for _, row := range rows {
		least, most = min(least, row.Latency.P50.Median), max(most, row.Latency.P999.Median)
	}
	// Whole powers of ten, at least one of them wide.
	low := math.Floor(math.Log10(least))
	high := max(math.Ceil(math.Log10(most)), low+1)
	at := func(v float64) float64 { return plotLeft + (plotRight-plotLeft)*(math.Log10(v)-low)/(high-low) }
	top := c.y
	c.y += rowHeight
	for i, row := range rows {
		c.label(rows, i)
		middle := c.y + rowHeight/2.0 - 2
		p50, p99, p999 := row.Latency.P50.Median, row.Latency.P99.Median, row.Latency.P999.Median
		c.draw(`<path d="M%.1f %.1fH%.1f" class="range"/>`, at(p50), middle, at(p999))
		for _, v := range []float64{p50, p99, p999} {
			c.draw(`<circle cx="%.1f" cy="%.1f" r="4" class="%s"/>`, at(v), middle, class(row))
		}
		c.text(at(p999)+10, c.y+barHeight, "", millis(p50)+" / "+millis(p99)+" / "+millis(p999))
		c.y += rowHeight
	}
	for power := low; power <= high; power++ {
		v := math.Pow(10, power)
		c.text(at(v), top+barHeight, "faint middle", fmt.Sprintf("%g ms", v))
		c.draw(`<path d="M%.1f %.1fV%.1f" class="grid"/>`, at(v), top+rowHeight-2, c.y)
	}
}

// chartStyle has light colours first. Text on the background keeps a contrast of
// 4.5 to 1 at least in both.
const chartStyle = `<style>
.background{fill:#fff}
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:14px}
.faint{fill:#59636e}
.end{text-anchor:end}
.middle{text-anchor:middle}
.contender-a,.contender{fill:#818b98}
.contender-b{fill:#bf8700}
.contender-c{fill:#0969da}
.range{stroke:#1f2328;stroke-width:1.5;fill:none}
.grid{stroke:#818b98;stroke-opacity:.35;fill:none}
@media (prefers-color-scheme:dark){
.background{fill:#0d1117}
text{fill:#f0f6fc}
.faint{fill:#9198a1}
.contender-a,.contender{fill:#9198a1}
.contender-b{fill:#d29922}
.contender-c{fill:#4493f8}
.range{stroke:#f0f6fc}
}
</style>`

func (c *chart) document() string {
	height := c.y + chartMargin
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %d %.0f" width="%d" height="%.0f">
<title>Rates, latencies and memory of the service beside a bare relay and a stock pipeline</title>
%s
<rect width="100%%" height="100%%" class="background"/>
`, chartWidth, height, chartWidth, height, chartStyle)
	b.WriteString(c.body.String())
	b.WriteString("</svg>\n")
	return b.String()
}
