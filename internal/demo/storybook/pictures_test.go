package storybook

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/wanbi/wanbi/internal/testkit/chromium"
)

// maxPicture bounds a picture of the documentation, in bytes.
const maxPicture = 200 << 10

// frame is one page in a picture, in CSS pixels.
type frame struct {
	file                     string
	left, top, width, height int
	phone                    bool
}

// pictures are those of README.md, by the names of their files.
var pictures = []struct {
	name          string
	width, height int
	frames        []frame
}{
	{"phones", 1600, 704, []frame{
		{"light/zh-CN/start.html", 32, 32, 360, 640, true},
		{"light/en/prove-sms.html", 424, 32, 360, 640, true},
		{"light/zh-CN/secret.html", 816, 32, 360, 640, true},
		{"light/en/done.html", 1208, 32, 360, 640, true},
	}},
	{"ways", 1360, 940, []frame{{"light/en/ways.html", 40, 40, 1280, 860, false}}},
	{"hold", 1640, 900, []frame{
		{"light/zh-CN/held-later.html", 40, 40, 1180, 820, false},
		{"dark/en/notice.html", 1240, 100, 360, 720, true},
	}},
}

// Draws the pictures of README.md from the storybook: `make pictures`.
func TestPictures(t *testing.T) {
	dir := os.Getenv("WANBI_PICTURES")
	if dir == "" {
		t.Skip("WANBI_PICTURES names no folder: the pictures in docs/pictures stay as they are")
	}
	book := t.TempDir()
	if _, err := Write(t.Context(), book, t.Logf); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(book)))
	for _, p := range pictures {
		mux.HandleFunc("/picture/"+p.name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, drawing(p.frames))
		})
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx := chromium.New(t)
	for _, p := range pictures {
		var drawn []byte
		err := chromedp.Run(ctx, chromedp.EmulateViewport(int64(p.width), int64(p.height)),
			chromedp.Navigate(server.URL+"/picture/"+p.name),
			chromedp.ActionFunc(func(ctx context.Context) (err error) {
				drawn, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
				return err
			}))
		if err != nil {
			t.Fatal(err)
		}
		if len(drawn) > maxPicture {
			t.Errorf("%s has %d bytes, more than %d", p.name, len(drawn), maxPicture)
		}
		if err := os.WriteFile(filepath.Join(dir, p.name+".png"), drawn, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func drawing(frames []frame) string {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><meta charset="utf-8"><style>body{margin:0;background:#e9e6dc}iframe{position:absolute;border:0;` +
		`box-shadow:0 0 0 1px rgb(23 32 28/12%)}</style>`)
	for _, f := range frames {
		radius := 14
		if f.phone {
			radius = 32
		}
		fmt.Fprintf(&b, `<iframe src="/%s" scrolling="no" style="left:%dpx;top:%dpx;width:%dpx;height:%dpx;border-radius:%dpx"></iframe>`,
			f.file, f.left, f.top, f.width, f.height, radius)
	}
	return b.String()
}
