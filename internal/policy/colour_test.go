package policy

import (
	"fmt"
	"math"
	"testing"
)

const darkGround = "#12181a"

func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21},
		{"#ffffff", "#ffffff", 1},
		{"#ffffff", "#000000", 21},
		{"#767676", "#ffffff", 4.54},
		{"#777777", "#ffffff", 4.48},
		{"#ff0000", "#ffffff", 4.00},
		{"#0000FF", "#ffffff", 8.59},
	} {
		if got := contrast(c.a, c.b); math.Abs(got-c.want) > 0.005 {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

// The mix is legible for every accent, so a policy needs no second check. The
// mix of black is the darkest there is.
func TestAccentOnDarkIsLegibleForEveryAccent(t *testing.T) {
	if got := AccentOnDark("#000000"); got != "#8c8c8c" {
		t.Errorf("black becomes %s", got)
	}
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 15 {
			for b := 0; b < 256; b += 15 {
				accent := fmt.Sprintf("#%02x%02x%02x", r, g, b)
				if ratio := contrast(AccentOnDark(accent), darkGround); ratio < legible {
					t.Fatalf("%s becomes %s: %.2f:1", accent, AccentOnDark(accent), ratio)
				}
			}
		}
	}
}

func TestAccentOnDark(t *testing.T) {
	for in, want := range map[string]string{
		"#ffffff": "#ffffff", "#1F6F54": "#9abeb2", "#1f6f54": "#9abeb2", "jade": "#ffffff", "": "#ffffff", "#fff": "#ffffff",
	} {
		if got := AccentOnDark(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
