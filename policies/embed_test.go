package policies

import (
	"io/fs"
	"os"
	"slices"
	"testing"
)

// A file that lies here and is not inside the binary would not be in the demonstration.
func TestEveryPolicyIsInTheBinary(t *testing.T) {
	for _, pattern := range []string{"*.yaml", "hardened/*.yaml"} {
		inside, err := fs.Glob(Files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		beside, err := fs.Glob(os.DirFS("."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(inside) != 4 || !slices.Equal(inside, beside) {
			t.Errorf("%s: inside %v, in the folder %v", pattern, inside, beside)
		}
	}
}
