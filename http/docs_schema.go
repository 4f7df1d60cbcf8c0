package http

import (
	"html/template"
	"regexp"
	"slices"
	"strings"
)

// docsFuncs are what the template of the events page calls.
func docsFuncs() template.FuncMap {
	return template.FuncMap{
		"prose":    prose,
		"type":     typeOf,
		"required": isRequired,
		"choices":  choices,
	}
}

// prose makes paragraphs of a description, and code of what is in backticks.
func prose(description *node) template.HTML {
	var html strings.Builder
	for paragraph := range strings.SplitSeq(description.Text(), "\n\n") {
		if paragraph != "" {
			html.WriteString("<p>" + inBackticks.ReplaceAllString(template.HTMLEscapeString(paragraph), "<code>$1</code>") + "</p>")
		}
	}
	return template.HTML(html.String()) //nolint:gosec // escaped above, and a text of ours
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

// typeOf says in a few words what a schema lets through.
func typeOf(schema *node) string {
	if constant := schema.Get("const"); constant != nil {
		return string(constant.value)
	}
	var types []string
	add := func(name string) {
		if !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	given := schema.Get("type")
	switch {
	case given != nil && given.Items() != nil:
		for _, item := range given.Items() {
			add(item.Text())
		}
	case given != nil:
		add(given.Text())
	default:
		for _, alternative := range schema.Get("oneOf").Items() {
			add(typeOf(alternative.resolve()))
		}
	}
	if types == nil {
		return "any"
	}
	return strings.Join(types, " or ")
}

func isRequired(schema *node, name string) bool {
	return slices.ContainsFunc(schema.Get("required").Items(), func(item *node) bool { return item.Text() == name })
}

// choices are the alternatives of a schema that lists values, each with its
// meaning.
func choices(schema *node) []*node {
	alternatives := schema.Get("oneOf").Items()
	if len(alternatives) == 0 || alternatives[0].Get("const") == nil {
		return nil
	}
	return alternatives
}
