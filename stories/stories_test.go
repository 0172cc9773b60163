// Package stories plays the stories of this folder over real HTTP on both
// engines. Each file is one story, named as a sentence; docs/coverage.md and
// docs/threats.md say which rows and rules it shows.
//
// Test-only.
package stories

import (
	"os"
	"testing"

	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
	"github.com/wanbi/wanbi/internal/testkit/story"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

func TestStories(t *testing.T) {
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			story.PlayFolder(t, os.DirFS("."), func(t *testing.T, _ *story.Story) *story.World {
				return testkit.NewWorld(t, engine)
			})
		})
	}
}
