package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// parses fails the test unless the program takes the arguments.
func parses(t *testing.T, args []string) {
	t.Helper()
	parser, err := newParser(std{ctx: t.Context(), out: &bytes.Buffer{}, err: &bytes.Buffer{}, env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("wanbi %s: %v", strings.Join(args, " "), err)
	}
}

func deployed(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheUnitStartsWhatThereIs(t *testing.T) {
	unit := deployed(t, "deploy/wanbi.service")
	found := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/wanbi (.*)$`).FindAllStringSubmatch(unit, -1)
	if len(found) != 1 {
		t.Fatalf("%d lines start wanbi", len(found))
	}
	parses(t, strings.Fields(found[0][1]))
	for _, line := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=wanbi", "UMask=0077", "ExecReload=/bin/kill -HUP $MAINPID"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func TestTheContainerStartsWhatThereIs(t *testing.T) {
	file := deployed(t, "deploy/Containerfile")
	found := regexp.MustCompile(`CMD (\[.*\])`).FindAllStringSubmatch(file, -1)
	if len(found) != 2 {
		t.Fatalf("%d commands", len(found))
	}
	for _, m := range found {
		var args []string
		if err := json.Unmarshal([]byte(m[1]), &args); err != nil {
			t.Fatal(err)
		}
		if args[0] == "/usr/bin/wanbi" {
			args = args[1:]
		}
		parses(t, args)
	}
}

func TestThePackageHoldsFilesThatExist(t *testing.T) {
	var packed struct {
		Contents []struct{ Src, Dst string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "deploy/nfpm.yaml")), &packed); err != nil {
		t.Fatal(err)
	}
	files := []string{packed.Scripts["postinstall"], packed.Scripts["preremove"], packed.Scripts["postremove"]}
	for _, script := range files {
		if !strings.HasPrefix(deployed(t, script), "#!/bin/sh\n") {
			t.Errorf("%s does not say what runs it", script)
		}
	}
	for _, c := range packed.Contents {
		files = append(files, c.Src)
	}
	if len(files) < 6 {
		t.Errorf("only %v", files)
	}
	for _, file := range files {
		if file == "" || file == "bin/wanbi" { // a folder; what make build makes
			continue
		}
		deployed(t, file)
	}
}

// What an operator is told to type works.
func TestTheCommandsOfTheOperationsPageExist(t *testing.T) {
	page := deployed(t, "docs/operations.md")
	commands := regexp.MustCompile("(?m)(?:^ {4,}|`)(?:sudo -u wanbi )?wanbi ([a-z][^`\n]*)").FindAllStringSubmatch(page, -1)
	if len(commands) < 15 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, m := range commands {
		line := strings.NewReplacer("FILE", "x", "REALM", "x", `"`, "", "$(date +%F)", "x").Replace(m[1])
		line, _, _ = strings.Cut(line, " #")
		line, _, _ = strings.Cut(line, " | ")
		parses(t, strings.Fields(line))
	}
}

func TestFiguresAreServedApartFromThePages(t *testing.T) {
	i := install(t)
	i.settings("log:\n  level: error", "metrics: 127.0.0.1:0\nlog:\n  level: info")
	r := begin(t, regexp.MustCompile(`metrics are served","listen":"([^"]+)"`), "serve", "--config", i.config)
	answer, err := http.Get("http://" + r.url + "/metrics")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
	served := regexp.MustCompile(`wanbi serves","listen":"([^"]+)"`).FindStringSubmatch(r.out.String())
	if len(served) == 2 {
		public, err := http.Get("http://" + served[1] + "/metrics")
		if err != nil || public.StatusCode != http.StatusNotFound {
			t.Errorf("the figures are public: %v, %v", public, err)
		}
	}
	r.end()
}
