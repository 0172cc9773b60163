package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

//go:embed assets
var assetFiles embed.FS

// asset is one file with the address that changes when it does.
type asset struct {
	name, hashed string
	data         []byte
}

var assets = loadAssets()

func loadAssets() map[string]asset {
	loaded := map[string]asset{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		name, pattern := entry.Name(), "assets/"+entry.Name()
		if entry.IsDir() { // a folder of sheets is one sheet, in the order of their names
			name, pattern = name+".css", pattern+"/*.css"
		}
		data, err := joined(pattern)
		if err != nil {
			panic(err)
		}
		ext := path.Ext(name)
		a := asset{name, strings.TrimSuffix(name, ext) + "-" + digest(data) + ext, data}
		loaded[a.name], loaded[a.hashed] = a, a
	}
	return loaded
}

// joined is the text of all files that a pattern names.
func joined(pattern string) ([]byte, error) {
	names, err := fs.Glob(assetFiles, pattern)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, name := range names {
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

func assetPath(name string) string { return "/assets/" + assets[name].hashed }

// serveHashed serves a file for ever under its hashed name, for a minute under its plain one.
func serveHashed(w http.ResponseWriter, r *http.Request) { serveAsset(r.PathValue("file"))(w, r) }

func serveAsset(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		a, ok := assets[name]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		age := "max-age=60"
		if name == a.hashed {
			age = "max-age=31536000, immutable"
		}
		writeAsset(w, path.Ext(name), age, a.data)
	}
}

func writeAsset(w http.ResponseWriter, ext, age string, data []byte) {
	w.Header().Set("Content-Type", mime.TypeByExtension(ext))
	w.Header().Set("Cache-Control", "public, "+age)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // the reader is gone; nobody is left to tell
}

// The grounds that accents are read on, and jade for realms that name none.
// Night is the sheet's, which is the lighter of the two grounds by night. The same
// values stand in assets/app/1-tokens.css.
var (
	paper = colour{0xf4, 0xf2, 0xea}
	night = colour{0x17, 0x1e, 0x1b}
	white = colour{0xff, 0xff, 0xff}
	black = colour{}
	green = colour{0x0b, 0x6b, 0x4f}
)

// serveOfRealm gives a realm's one colour as a sheet, because no style is ever
// inline, or its logo as a picture, in which nothing could run.
func (s *site) serveOfRealm(w http.ResponseWriter, r *http.Request) {
	ext := path.Ext(r.PathValue("file"))
	inForce, ok := s.Realm(recovery.Realm(strings.TrimSuffix(r.PathValue("file"), ext)))
	switch {
	case ok && ext == ".css":
		writeAsset(w, ext, "max-age=3600", accentSheet(inForce.Realm.Accent))
	case ok && ext == ".svg" && inForce.Realm.Logo != "":
		writeAsset(w, ext, "max-age=3600", []byte(inForce.Realm.Logo))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// logoPath changes when the logo does.
func logoPath(realm recovery.Realm, inForce *policy.Policy) string {
	return "/assets/realm/" + string(realm) + ".svg?v=" + digest([]byte(inForce.Realm.Logo))
}

// accentPath changes when the colour does.
func accentPath(realm recovery.Realm, inForce *policy.Policy) string {
	return "/assets/realm/" + string(realm) + ".css?v=" + digest(accentSheet(inForce.Realm.Accent))
}

// accentSheet sets the accent for both grounds. No one colour reads well on
// paper and on night, so the realm's is darkened for the one and lightened for
// the other until it does. WCAG 2.2 (1.4.3) asks 4.5:1; 5.8 leaves that much on
// the tints that the sheet mixes from it, and bright on dark wants 7. Larger text
// has 7:1 (1.4.6), and 9 leaves that on the tints.
func accentSheet(accent string) []byte {
	base, ok := parseColour(accent)
	if !ok {
		base = green
	}
	day := base.towards(black, paper, 5.8)
	dark := base.towards(base.pale(), night, 7).towards(white, night, 7)
	return []byte(":root{--accent:" + day.String() + "}\n" +
		":root.larger{--accent:" + day.towards(black, paper, 9).String() + "}\n" +
		"@media screen and (prefers-color-scheme:dark){:root{--accent:" + dark.String() + "}" +
		":root.larger{--accent:" + dark.towards(white, night, 9.5).String() + "}}\n")
}

// colour is red, green and blue, 0 to 255.
type colour [3]uint8

func parseColour(s string) (colour, bool) {
	digits, found := strings.CutPrefix(s, "#")
	raw, err := hex.DecodeString(digits)
	if !found || err != nil || len(raw) != 3 {
		return colour{}, false
	}
	return colour(raw), true
}

func (c colour) String() string { return "#" + hex.EncodeToString(c[:]) }

// luminance as WCAG 2.2 defines relative luminance, 0 to 1.
func (c colour) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

// contrast as WCAG 2.2 defines it, 1 to 21.
func (c colour) contrast(other colour) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// pale is the lightest tone of the colour, half way to white.
func (c colour) pale() colour {
	out, most := white, int(max(c[0], c[1], c[2]))
	for i := range out {
		if most > 0 {
			out[i] = uint8((int(c[i])*255/most + 255) / 2)
		}
	}
	return out
}

// towards mixes the colour with another in steps of a fortieth until it stands
// out enough on the ground.
func (c colour) towards(other, ground colour, enough float64) colour {
	for step := 0; step <= 40; step++ {
		var mixed colour
		for i := range mixed {
			mixed[i] = uint8((int(c[i])*(40-step) + int(other[i])*step) / 40)
		}
		if mixed.contrast(ground) >= enough {
			return mixed
		}
	}
	return other
}
