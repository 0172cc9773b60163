package policy

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxLogo bounds a logo, in bytes. Ours: every page carries it.
const maxLogo = 8 << 10

const svgSpace = "http://www.w3.org/2000/svg"

// What a logo may be drawn with. Whatever is not here could run, load or say
// something: script, style, text, pictures, links, animation.
var (
	logoElements = []string{
		"svg", "g", "defs", "title", "path", "circle", "ellipse", "rect", "line", "polyline", "polygon",
		"linearGradient", "radialGradient", "stop",
	}
	logoAttributes = []string{
		"viewBox", "width", "height", "id", "d", "cx", "cy", "r", "rx", "ry", "x", "y", "x1", "y1", "x2", "y2", "fx", "fy", "points",
		"transform", "fill", "fill-rule", "fill-opacity", "clip-rule", "opacity", "stroke", "stroke-width", "stroke-linecap",
		"stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-dasharray", "offset", "stop-color", "stop-opacity",
		"gradientUnits", "gradientTransform", "spreadMethod", "preserveAspectRatio",
	}
	// A colour, a number, a path, a word, or a gradient of the same drawing.
	logoValue = regexp.MustCompile(`^(?:[-+#%.,() \t\r\n0-9A-Za-z]*|url\(#[-_0-9A-Za-z]+\))$`)
)

// wrongLogo says what keeps a drawing from being shown, nothing for a good one.
func wrongLogo(text string) string {
	if len(text) > maxLogo {
		return fmt.Sprintf("%d bytes, and the most is %d", len(text), maxLogo)
	}
	decoder := xml.NewDecoder(strings.NewReader(text))
	depth, roots := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "no SVG: " + err.Error()
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			if why := wrongElement(t, depth == 0); why != "" {
				return why
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.Directive, xml.ProcInst:
			return "begins with a declaration: start at <svg"
		}
	}
	if roots != 1 {
		return "no drawing: write <svg …>…</svg>"
	}
	return ""
}

func wrongElement(e xml.StartElement, root bool) string {
	if e.Name.Space != svgSpace || !slices.Contains(logoElements, e.Name.Local) {
		return fmt.Sprintf("has a %s in it: draw with %s", e.Name.Local, strings.Join(logoElements, ", "))
	}
	if root != (e.Name.Local == "svg") {
		return "is not one <svg> and what is drawn in it"
	}
	box := ""
	for _, a := range e.Attr {
		if a.Name.Local == "xmlns" && a.Name.Space == "" && a.Value == svgSpace {
			continue
		}
		if a.Name.Space != "" || !slices.Contains(logoAttributes, a.Name.Local) {
			return fmt.Sprintf("has the attribute %s, and may not", a.Name.Local)
		}
		if !logoValue.MatchString(a.Value) {
			return fmt.Sprintf("has a value in %s that could lead elsewhere", a.Name.Local)
		}
		if a.Name.Local == "viewBox" {
			box = a.Value
		}
	}
	if root {
		return wrongBox(box)
	}
	return ""
}

// wrongBox wants a drawing that fits the place of the mark: at most twice as wide
// as high, or as high as wide.
func wrongBox(box string) string {
	numbers := strings.FieldsFunc(box, func(r rune) bool { return r == ' ' || r == ',' })
	if len(numbers) != 4 {
		return "has no viewBox of four numbers"
	}
	width, err1 := strconv.ParseFloat(numbers[2], 64)
	height, err2 := strconv.ParseFloat(numbers[3], 64)
	if err1 != nil || err2 != nil || !(width > 0 && height > 0) || width > 2*height || height > 2*width {
		return fmt.Sprintf("has the viewBox %q: it has to be about square, at most twice as long one way as the other", box)
	}
	return ""
}
