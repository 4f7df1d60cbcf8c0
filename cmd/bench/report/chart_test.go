package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/bench/report"
)

// svg reads a chart as an XML parser does, and returns its texts and its numbers.
func svg(t *testing.T, r report.Report) (texts string, attributes map[string][]float64) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, r.WriteSVG(&out))
	decoder := xml.NewDecoder(&out)
	attributes = map[string][]float64{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts, attributes
		}
		require.NoError(t, err, "it is well-formed")
		switch token := token.(type) {
		case xml.CharData:
			texts += string(token)
		case xml.StartElement:
			for _, a := range token.Attr {
				require.NotContains(t, a.Value, "NaN")
				require.NotContains(t, a.Value, "Inf")
				if v, err := strconv.ParseFloat(a.Value, 64); err == nil {
					attributes[a.Name.Local] = append(attributes[a.Name.Local], v)
				}
			}
		}
	}
}

func TestWriteSVG(t *testing.T) {
	t.Parallel()
	t.Run("shows every row, escaped, inside the picture", func(t *testing.T) {
		t.Parallel()
		texts, attributes := svg(t, everything())
		for _, text := range []string{"Some <CPU> & more", "50,000", "C 5/s", "0.50 / 12.2 / 130", "C at rest", "20.0", "100 ms"} {
			require.Contains(t, texts, text)
		}
		width, height := attributes["width"][0], attributes["height"][0]
		for _, name := range []string{"x", "cx"} {
			for _, v := range attributes[name] {
				require.True(t, v >= 0 && v <= width, "%s is %f", name, v)
			}
		}
		for _, name := range []string{"y", "cy"} {
			for _, v := range attributes[name] {
				require.True(t, v >= 0 && v <= height, "%s is %f", name, v)
			}
		}
	})
	t.Run("has colours for light and for dark", func(t *testing.T) {
		t.Parallel()
		texts, _ := svg(t, everything())
		require.Contains(t, texts, "@media (prefers-color-scheme:dark)")
		require.Equal(t, 2, strings.Count(texts, ".background{"))
	})
	t.Run("leaves out what was not measured", func(t *testing.T) {
		t.Parallel()
		texts, _ := svg(t, report.New(report.Machine{}, nil, []report.Sample{sample("A", 1, 1)}, nil))
		require.Contains(t, texts, "Messages a second")
		require.NotContains(t, texts, "memory, in")
		require.NotContains(t, texts, "publish to delivery")
		_, _ = svg(t, report.New(report.Machine{}, nil, nil, nil))
	})
	t.Run("draws latencies that are all the same", func(t *testing.T) {
		t.Parallel()
		s := sample("C", 1, 1)
		s.Latency = report.Latency{P50: 10, P99: 10, P999: 10, Max: 10}
		texts, _ := svg(t, report.New(report.Machine{}, nil, []report.Sample{s}, nil))
		require.Contains(t, texts, "10 ms")
		require.Contains(t, texts, "100 ms")
	})
}
