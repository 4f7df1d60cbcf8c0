package http

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// docsFile is a file that the pages load. It may be kept compressed, which is
// then how nearly every client gets it.
type docsFile struct {
	contentType string
	body        []byte
	compressed  bool
	tag         string
}

// readDocsFiles returns the files by the name that they are served under.
func readDocsFiles() (map[string]docsFile, error) {
	const (
		script = "text/javascript; charset=utf-8"
		style  = "text/css; charset=utf-8"
		plain  = "text/plain; charset=utf-8"
	)
	files := map[string]docsFile{}
	for _, f := range []struct{ name, path, contentType string }{
		{"api.js", "docs/api.js", script},
		{"page.css", "docs/page.css", style},
		{"icon.svg", "docs/icon.svg", "image/svg+xml"},
		{"swagger-ui-bundle.js", "docs/swagger-ui/swagger-ui-bundle.js.gz", script},
		{"swagger-ui.css", "docs/swagger-ui/swagger-ui.css.gz", style},
		// Whoever gets the program gets the licences of what is in it.
		{"swagger-ui-bundle.js.LICENSE.txt", "docs/swagger-ui/swagger-ui-bundle.js.LICENSE.txt", plain},
		{"swagger-ui.LICENSE.txt", "docs/swagger-ui/LICENSE", plain},
		{"swagger-ui.NOTICE.txt", "docs/swagger-ui/NOTICE", plain},
	} {
		body, err := docsFolder.ReadFile(f.path)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the documentation: %w", err)
		}
		files[f.name] = docsFile{
			contentType: f.contentType, body: body, compressed: strings.HasSuffix(f.path, ".gz"), tag: tagOf(body),
		}
	}
	return files, nil
}

func (f docsFile) respond(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	// Asked for again each time, so that no page meets the files of another version.
	h.Set("Cache-Control", "no-cache")
	body, tag := f.body, f.tag
	if f.compressed {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header["Accept-Encoding"]) {
			h.Set("Content-Encoding", "gzip")
		} else {
			var err error
			if body, err = expand(body); err != nil {
				return err
			}
			tag = tagOf(body)
		}
	}
	respondTagged(w, r, f.contentType, body, tag)
	return nil
}

func expand(compressed []byte) ([]byte, error) {
	unpacker, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("expanding a file of the documentation: %w", err)
	}
	body, err := io.ReadAll(unpacker)
	if err != nil {
		return nil, fmt.Errorf("expanding a file of the documentation: %w", err)
	}
	return body, nil
}

// acceptsGzip reads an Accept-Encoding header. What it cannot read is no yes.
func acceptsGzip(given []string) bool {
	accepts := false
	for coding := range strings.SplitSeq(strings.Join(given, ","), ",") {
		name, parameter, weighted := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		yes := true
		if weighted {
			weight, isWeight := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			yes = isWeight && err == nil && q > 0
		}
		if name == "gzip" {
			return yes
		}
		accepts = yes
	}
	return accepts
}
