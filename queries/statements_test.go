package queries_test

import (
	"context"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// Every statement of the package is a constant whose name ends in Statement;
// Postgres parses each of them against the migrated schema, so that a renamed
// column fails here and not in production.
func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	statements := statementConstants(t)
	require.Greater(t, len(statements), 10, "the search for statements finds none")
	for name, text := range statements {
		stmt, err := db.PrepareContext(ctx, text)
		require.NoError(t, err, name)
		defer func() { _ = stmt.Close() }()
	}
}

func TestNoStatementReadsEveryColumn(t *testing.T) {
	t.Parallel()
	for name, text := range statementConstants(t) {
		if name == "findMessagesStatement" {
			continue // its inner select is narrowed by the outer one
		}
		require.NotContains(t, strings.ToUpper(text), "SELECT *", name)
	}
}

func statementConstants(t *testing.T) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, ".", func(f fs.FileInfo) bool { //nolint:staticcheck // one folder, no build tags
		return !strings.HasSuffix(f.Name(), "_test.go")
	}, 0)
	require.NoError(t, err)
	var sources []*ast.File
	for _, file := range packages["queries"].Files {
		sources = append(sources, file)
	}
	// Imports are not resolved; string constants need none.
	check := types.Config{Error: func(error) {}, FakeImportC: true}
	pkg, _ := check.Check("queries", files, sources, nil)
	statements := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if ok && strings.HasSuffix(name, "Statement") && c.Val().Kind() == constant.String {
			statements[name] = constant.StringVal(c.Val())
		}
	}
	return statements
}
