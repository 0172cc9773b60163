package policy

import (
	"math"
	"regexp"
	"strconv"
)

// legible is the least contrast of text (WCAG 2.2, 1.4.3).
const legible = 4.5

var colourForm = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// contrast is the ratio of two #rrggbb colours, 1 to 21 (WCAG 2.2, "contrast ratio").
func contrast(a, b string) float64 {
	light, dark := luminance(a), luminance(b)
	if light < dark {
		light, dark = dark, light
	}
	return (light + 0.05) / (dark + 0.05)
}

// luminance is relative luminance, 0 to 1 (WCAG 2.2).
func luminance(hex string) float64 {
	linear := [3]float64{}
	for i, channel := range channels(hex) {
		c := channel / 255
		if c <= 0.04045 {
			linear[i] = c / 12.92
		} else {
			linear[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*linear[0] + 0.7152*linear[1] + 0.0722*linear[2]
}

// channels gives red, green and blue, 0 to 255, of a #rrggbb.
func channels(hex string) [3]float64 {
	var out [3]float64
	for i := range out {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			panic("policy: colour was not checked: " + hex)
		}
		out[i] = float64(n)
	}
	return out
}
