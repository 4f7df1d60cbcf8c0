package pipeline_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The codes and headers are read from the source, so that none can be added and
// forgotten in the document.

func TestTheAsyncAPIDocumentKnowsEveryRejection(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	documented := map[string]string{}
	for _, c := range a.Components.Schemas["RejectCode"].OneOf {
		documented[c.Const] = c.Description
	}
	inSource := rejections(t)
	require.Equal(t, inSource, documented)
	require.ElementsMatch(t, slices.Collect(maps.Values(inSource)), a.Components.Schemas["RejectReason"].Enum)
}

func TestTheAsyncAPIDocumentKnowsEveryFailure(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	var documented []string
	for _, c := range a.Components.Schemas["PoisonCode"].OneOf {
		documented = append(documented, c.Const)
		require.NotEmpty(t, c.Description, c.Const)
	}
	inSource := slices.Collect(maps.Values(constants(t, "../handlers/*.go", "Fail")))
	inspect(t, "*.go", func(n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || !isNamed(literal.Type, "Failure") {
			return
		}
		for _, element := range literal.Elts {
			if field, ok := element.(*ast.KeyValueExpr); ok && isNamed(field.Key, "Code") {
				inSource = append(inSource, text(t, field.Value))
			}
		}
	})
	require.Contains(t, inSource, "panic")
	require.ElementsMatch(t, inSource, documented)
}

func TestTheAsyncAPIDocumentKnowsEveryPoisonHeader(t *testing.T) {
	t.Parallel()
	a := readAsyncAPI(t)
	inSource := slices.Collect(maps.Values(constants(t, "*.go", "HeaderPoison")))
	require.Greater(t, len(inSource), 10)
	require.ElementsMatch(t, inSource, slices.Collect(maps.Keys(a.Components.Messages["PoisonedMessage"].Headers.Properties)))
}

// rejections are the codes with their sentences.
func rejections(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	inspect(t, "../handlers/*.go", func(n ast.Node) {
		if literal, ok := n.(*ast.CompositeLit); ok && isNamed(literal.Type, "Rejection") && len(literal.Elts) == 2 {
			if _, keyed := literal.Elts[0].(*ast.KeyValueExpr); !keyed {
				found[text(t, literal.Elts[0])] = text(t, literal.Elts[1])
			}
		}
	})
	require.Greater(t, len(found), 5)
	return found
}

// constants are those with a value of their own whose names begin like this.
func constants(t *testing.T, files, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	inspect(t, files, func(n ast.Node) {
		declaration, ok := n.(*ast.GenDecl)
		if !ok || declaration.Tok != token.CONST {
			return
		}
		for _, spec := range declaration.Specs {
			values, _ := spec.(*ast.ValueSpec)
			for i, name := range values.Names {
				if strings.HasPrefix(name.Name, prefix) && i < len(values.Values) {
					found[name.Name] = text(t, values.Values[i])
				}
			}
		}
	})
	return found
}

// inspect walks the syntax of files of ours that are no tests.
func inspect(t *testing.T, files string, visit func(ast.Node)) {
	t.Helper()
	paths, err := filepath.Glob(files)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			visit(n)
			return true
		})
	}
}

// isNamed tells whether an expression is this name, of whatever package.
func isNamed(e ast.Expr, name string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == name
	case *ast.SelectorExpr:
		return e.Sel.Name == name
	default:
		return false
	}
}

// text is the value of a string literal; nothing else may stand there.
func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	literal, ok := e.(*ast.BasicLit)
	require.True(t, ok && literal.Kind == token.STRING, "%v is no string literal, so the document cannot be held against it", e)
	value, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	return value
}
