package chromium

import (
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestARenderedPageIsReadAndPictured(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><meta name=viewport content="width=device-width"><title>找回账号</title>
			<body style="margin:0;background:#00a86b"><h1>等待期</h1><p style="height:2000px">完璧归赵</p>
			<script>document.querySelector("h1").textContent += innerWidth</script>`)
	}))
	defer server.Close()
	ctx := New(t)
	path := filepath.Join(t.TempDir(), "page.png")
	if err := Screenshot(ctx, server.URL, 320, path); err != nil {
		t.Fatal(err)
	}
	var heading, title string
	if err := chromedp.Run(ctx, chromedp.Text("h1", &heading), chromedp.Title(&title)); err != nil {
		t.Fatal(err)
	}
	if heading != "等待期320" || title != "找回账号" {
		t.Errorf("heading %q, title %q", heading, title)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds().Size()
	if size.X != 640 || size.Y < 4000 {
		t.Errorf("the picture has %d×%d pixels, want 640 × the whole page, at least 4000", size.X, size.Y)
	}
	if r, g, b, _ := picture.At(630, size.Y-10).RGBA(); r>>8 != 0 || g>>8 != 0xa8 || b>>8 != 0x6b {
		t.Errorf("the ground is #%02x%02x%02x, want jade", r>>8, g>>8, b>>8)
	}
}

func TestAPageThatCannotBeOpenedIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.png")
	if err := Screenshot(New(t), "http://127.0.0.1:1/", 320, path); err == nil {
		t.Error("a picture was taken of a page that is not there")
	}
}

func TestAMissingBrowserNamesThePackage(t *testing.T) {
	_, err := find(func(string) (string, error) { return "", errors.New("not found") })
	if err == nil || !strings.Contains(err.Error(), "Debian package chromium") {
		t.Errorf("error %v", err)
	}
	got, err := find(func(name string) (string, error) {
		if name == "google-chrome" {
			return "/opt/" + name, nil
		}
		return "", errors.New("not found")
	})
	if err != nil || got != "/opt/google-chrome" {
		t.Errorf("found %q, %v", got, err)
	}
}
