package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPipelineLeavesHalfOfTheProcessorsToOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		components      commaList
		available, want int
	}{
		{commaList{componentPipeline, componentRelay, componentHTTP}, 1, 1},
		{commaList{componentPipeline, componentRelay, componentHTTP}, 2, 1},
		{commaList{componentPipeline}, 3, 1},
		{commaList{componentRelay}, 8, 4},
		{commaList{componentHTTP}, 8, 8},
	} {
		require.Equal(t, test.want, processors(Config{Components: test.components}, test.available), "%v of %d", test.components, test.available)
	}
}
