package web

import (
	"math"
	"strconv"
)

// grains are the centres of the dots on the large disc: three rings, each dot
// between two of the ring inside it.
var grains = layGrains()

type grain struct{ x, y string }

func layGrains() []grain {
	var out []grain
	for ring, radius := range []float64{78, 100, 122} {
		const dots = 24
		for i := range dots {
			angle := 2 * math.Pi * (float64(i) + float64(ring%2)/2) / dots
			out = append(out, grain{
				strconv.FormatFloat(160+radius*math.Cos(angle), 'f', 1, 64),
				strconv.FormatFloat(160+radius*math.Sin(angle), 'f', 1, 64),
			})
		}
	}
	return out
}
