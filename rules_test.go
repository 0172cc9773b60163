package wanbi_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"
)

// maxLines is where a file that a person writes has to be cut in two. The habit
// is 400; this is the end of patience.
const maxLines = 600

// tree is everything that we wrote, read once.
type tree struct {
	fset     *token.FileSet
	packages []*pkg
	texts    map[string]string // by path, what is written in words or code
	err      error
}

// pkg is the Go files of one folder without its tests.
type pkg struct {
	dir, name string
	files     map[string]*ast.File
}

// written are the kinds of file that the rules read.
var written = []string{".go", ".templ", ".sql", ".md", ".yaml", ".yml", ".css", ".js", ".html", ".txt"}

var readOnce = sync.OnceValue(func() *tree {
	all := &tree{fset: token.NewFileSet(), texts: map[string]string{}}
	byDir := map[string]*pkg{}
	all.err = filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "bin" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(written, path.Ext(name)) {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		all.texts[filepath.ToSlash(name)] = string(data)
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") {
			return nil
		}
		file, err := parser.ParseFile(all.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir, name: file.Name.Name, files: map[string]*ast.File{}}
			all.packages = append(all.packages, byDir[dir])
		}
		byDir[dir].files[filepath.ToSlash(name)] = file
		return nil
	})
	return all
})

func readTree(t *testing.T) *tree {
	t.Helper()
	all := readOnce()
	if all.err != nil {
		t.Fatal(all.err)
	}
	if len(all.packages) < 5 {
		t.Fatalf("only %d packages were found: the rules would hold of nothing", len(all.packages))
	}
	return all
}

func TestEveryPackageSaysWhatItIsAndWhomItTrusts(t *testing.T) {
	for _, p := range readTree(t).packages {
		doc, byHand := "", false
		for _, file := range p.files {
			byHand = byHand || !ast.IsGenerated(file)
			if file.Doc != nil {
				doc += file.Doc.Text()
			}
		}
		switch {
		case !byHand:
		case doc == "":
			t.Errorf("%s: no package comment: say what it is for and why it is a package", p.dir)
		case !strings.Contains(doc, "Trust:") && p.name != "main" && !testOnly(p.dir):
			t.Errorf(`%s: its comment has no "Trust:" line: say what an attacker who can write here can do`, p.dir)
		}
	}
}

// clockless are the rooms that are told the time, beside the three lower floors.
var clockless = []string{"internal/web", "internal/api", "internal/phone"}

func TestTimeIsGiven(t *testing.T) {
	all := readTree(t)
	for _, p := range all.packages {
		here := roomOf(p.dir)
		floor := rooms[here].floor
		if here == "" || testOnly(p.dir) ||
			floor != words && floor != pure && floor != heart && !slices.Contains(clockless, here) {
			continue
		}
		for _, file := range p.files {
			for _, at := range clockReads(file) {
				t.Errorf("%s reads the clock: this room is told the time, so that a test can stand on both sides of a limit", all.fset.Position(at))
			}
		}
	}
}

// clockReads finds where a file uses time.Now, time.Since or time.Until, called
// or handed on.
func clockReads(file *ast.File) []token.Pos {
	name := ""
	for _, spec := range file.Imports {
		if spec.Path.Value == `"time"` {
			name = "time"
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	var found []token.Pos
	reads := func(ident *ast.Ident) bool {
		return ident.Name == "Now" || ident.Name == "Since" || ident.Name == "Until"
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if from, ok := n.X.(*ast.Ident); ok && name != "" && from.Name == name && reads(n.Sel) {
				found = append(found, n.Pos())
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.Ident); ok && name == "." && reads(called) {
				found = append(found, n.Pos())
			}
		}
		return true
	})
	return found
}

func TestClockReadsAreFound(t *testing.T) {
	for source, want := range map[string]int{
		`import "time"; var a = time.Now()`:                  1,
		`import "time"; var a = time.Now`:                    1,
		`import t "time"; var a, b = t.Since(x), t.Until(x)`: 2,
		`import . "time"; var a = Now()`:                     1,
		`import "time"; var a = time.Hour`:                   0,
		`import "ours/time2"; var a = clock.Now()`:           0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(clockReads(file)); got != want {
			t.Errorf("%s: %d found, want %d", source, got, want)
		}
	}
}

func TestTestsAloneImportTheTestkit(t *testing.T) {
	for _, p := range readTree(t).packages {
		if testOnly(p.dir) {
			continue
		}
		for name, file := range p.files {
			for _, spec := range file.Imports {
				if strings.HasPrefix(strings.Trim(spec.Path.Value, `"`), module+"/internal/testkit") {
					t.Errorf("%s imports %s: a program must not carry fake clocks and open inboxes", name, spec.Path.Value)
				}
			}
		}
	}
}

// generated is how Go marks a file that no person writes.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func TestFilesAreShortEnoughToRead(t *testing.T) {
	for name, text := range readTree(t).texts {
		if tooLong(name, text) {
			t.Errorf("%s has %d lines, more than %d: look for the seam", name, strings.Count(text, "\n"), maxLines)
		}
	}
	full := strings.Repeat("//\n", maxLines)
	for name, c := range map[string]struct {
		file, text string
		want       bool
	}{
		"the last that is short": {"a.go", full, false},
		"the first that is long": {"a.go", full + "//\n", true},
		"a generated file":       {"a.go", "// Code generated by x. DO NOT EDIT.\n" + full, false},
		"a document":             {"a.md", full + "\n", false},
	} {
		if got := tooLong(c.file, c.text); got != c.want {
			t.Errorf("%s: too long = %v", name, got)
		}
	}
}

func tooLong(name, text string) bool {
	counted := []string{".go", ".templ", ".sql", ".css", ".js"}
	return slices.Contains(counted, path.Ext(name)) && strings.Count(text, "\n") > maxLines && !generated.MatchString(text)
}

// wrongWords are written 账号 in this project. They stand here in pieces, because
// this file is read, too.
var wrongWords = regexp.MustCompile("帐" + "户|账" + "户")

// wordsAllowed are the files that have to name what is not used.
var wordsAllowed = map[string]string{
	"docs/words.md":              "it lists the words that we do not use",
	"internal/i18n/lint_test.go": "it is the lint of the pages' words",
}

func TestOneWordForAnAccount(t *testing.T) {
	for name, text := range readTree(t).texts {
		number := 0
		for line := range strings.Lines(text) {
			number++
			if word := wrongWords.FindString(line); word != "" && wordsAllowed[name] == "" {
				t.Errorf("%s:%d says %s: the word is 账号, in code, documents and pages alike", name, number, word)
			}
		}
	}
}

// nothingNames are names that say nothing of what is inside.
var nothingNames = []string{"util", "utils", "helper", "helpers", "manager", "common", "misc", "shared", "base"}

func TestPackagesAreNamedForWhatTheyHold(t *testing.T) {
	for _, p := range readTree(t).packages {
		if slices.Contains(nothingNames, p.name) || slices.Contains(nothingNames, path.Base(p.dir)) {
			t.Errorf("%s: %q says nothing of what is inside", p.dir, p.name)
		}
	}
}

func TestSQLiteRunsOnTheLibcItWasTestedWith(t *testing.T) {
	listed := func(format, name string) string {
		out, err := exec.Command("go", "list", "-m", "-f", format, name).Output()
		if err != nil {
			t.Fatalf("go list -m %s: %v", name, err)
		}
		return strings.TrimSpace(string(out))
	}
	asked := listed("{{.GoMod}}", "modernc.org/sqlite")
	data, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := modfile.Parse(asked, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]string{}
	for _, r := range theirs.Require {
		wanted[r.Mod.Path] = r.Mod.Version
	}
	if got := listed("{{.Version}}", "modernc.org/libc"); wanted["modernc.org/libc"] != got {
		t.Errorf("modernc.org/libc is %s, and modernc.org/sqlite was tested with %q (of %s)",
			got, wanted["modernc.org/libc"], fmt.Sprint(slices.Sorted(maps.Keys(wanted))))
	}
}
