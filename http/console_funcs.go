package http

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// funcs are what the templates can do with values.
func (k *console) funcs() template.FuncMap {
	return template.FuncMap{
		"when":    k.when,
		"count":   counted,
		"rate":    perSecond,
		"spark":   sparkline,
		"bytes":   byteSize,
		"plural":  plural,
		"seconds": seconds,
		"tab":     newTab,

		"state":    stateClass,
		"jobclass": jobClass,
	}
}

// tab is an entry of the menu.
type tab struct {
	Href, Name string
	Current    bool
}

func newTab(section, own, href, name string) tab { return tab{href, name, section == own} }

const exactLayout = "2006-01-02 15:04:05.000 UTC"

// when shows a time as how long ago it was, and exactly on hover. console.js adds
// the reader's own time and keeps it up to date.
func (k *console) when(at any) template.HTML {
	var t time.Time
	switch v := at.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	if t.IsZero() {
		return `<span class="none">never</span>`
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // figures only
		t.Format(time.RFC3339Nano), t.Format(exactLayout), ago(k.now().Sub(t))))
}

// ago says how long ago something was; console.js has the same words.
func ago(d time.Duration) string {
	suffix := " ago"
	if d < 0 {
		d, suffix = -d, " from now"
	}
	switch {
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s%s", int(d.Seconds()), suffix)
	case d < time.Hour:
		return fmt.Sprintf("%d min%s", int(d.Minutes()), suffix)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h%s", int(d.Hours()), suffix)
	default:
		return fmt.Sprintf("%d days%s", int(d.Hours()/24), suffix)
	}
}

// seconds says how long something has lasted.
func seconds(s float64) string {
	if s < 1 {
		return "less than a second"
	}
	return time.Duration(s * float64(time.Second)).Truncate(time.Second).String()
}

// counted writes a count, which is an int or an int64.
func counted(n any) string {
	switch v := n.(type) {
	case int:
		return grouped(int64(v))
	case int64:
		return grouped(v)
	default:
		return fmt.Sprint(n)
	}
}

// grouped writes a number with a thin space between the thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var text strings.Builder
	text.WriteString(sign)
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text.WriteRune('\u202f')
		}
		text.WriteRune(d)
	}
	return text.String()
}

func perSecond(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return grouped(int64(math.Round(v)))
	}
}

func byteSize(n int) string {
	if n < 1<<10 {
		return plural(n, "byte", "bytes")
	}
	return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
}

func plural(n any, one, many string) string {
	if text := counted(n); text != "1" {
		return text + " " + many
	}
	return "1 " + one
}

const sparkWidth, sparkHeight = 180, 36

// sparkline draws values as a line over its area, the newest at the right. It is
// decoration: the numbers beside it say the same.
func sparkline(values []float64) template.HTML {
	top := 1.0
	for _, v := range values {
		top = math.Max(top, v)
	}
	var points strings.Builder
	const step = float64(sparkWidth) / (flowsKept - 1)
	start := sparkWidth - step*float64(len(values)-1)
	for i, v := range values {
		fmt.Fprintf(&points, "%.1f,%.1f ", start+float64(i)*step, 1+(sparkHeight-2)*(1-v/top))
	}
	line := points.String()
	area := ""
	if len(values) > 1 {
		area = fmt.Sprintf(`<polygon points="%.1f,%d %s%d,%d"/>`, start, sparkHeight, line, sparkWidth, sparkHeight)
	}
	return template.HTML(fmt.Sprintf( //nolint:gosec // figures only
		`<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true" focusable="false">%s<polyline points="%s"/></svg>`,
		sparkWidth, sparkHeight, area, line))
}
