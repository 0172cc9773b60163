package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write testdata/check anew")

const shippedDir = "../../policies"

// shipped lists the files that go into the binary.
func shipped(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.yaml", "hardened/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(shippedDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) != 8 {
		t.Fatalf("%d policies are shipped, want four systems twice: %v", len(files), files)
	}
	return files
}

func shippedName(t *testing.T, file string) string {
	t.Helper()
	name, err := filepath.Rel(shippedDir, strings.TrimSuffix(file, ".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(name, string(filepath.Separator), "-")
}

func loadShipped(t testing.TB, name string) *Policy {
	t.Helper()
	p, err := LoadFile(filepath.Join(shippedDir, name+".yaml"), catalogue)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What check says of each shipped policy is written down, so that a change of a
// policy or of a rule shows here.
func TestShippedPoliciesLoadAndCheckSaysWhatIsWrittenDown(t *testing.T) {
	for _, file := range shipped(t) {
		name := shippedName(t, file)
		t.Run(name, func(t *testing.T) {
			p, err := LoadFile(file, catalogue)
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Realm.ID) != name {
				t.Errorf("realm %q in file %q", p.Realm.ID, name)
			}
			var got strings.Builder
			for _, f := range p.Check() {
				if strings.HasPrefix(name, "hardened-") && f.Level == LevelWeak {
					t.Errorf("a hardened policy is weak: %s: %s", f.Path, f.Message)
				}
				fmt.Fprintf(&got, "%s %s\n  %s\n", f.Level, f.Path, f.Message)
				if f.Accepted != "" {
					fmt.Fprintf(&got, "  accepted: %s\n", f.Accepted)
				}
			}
			golden := filepath.Join("testdata", "check", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("check says\n%s\nwritten down is (go test -update writes)\n%s", got.String(), want)
			}
		})
	}
}

// Two realms run side by side in one demonstration.
func TestShippedRealmsHaveDifferentNames(t *testing.T) {
	seen := map[string]string{}
	for _, file := range shipped(t) {
		p, err := LoadFile(file, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{string(p.Realm.ID), p.Realm.Name["zh-CN"], p.Realm.Name["en"]} {
			if other, twice := seen[key]; twice {
				t.Errorf("%q is in %s and in %s", key, file, other)
			}
			seen[key] = file
		}
	}
}

var sourceForm = regexp.MustCompile(`text|ours|NIST|ASVS|GB/T`)

// Every number says where it comes from, in the comment behind it.
func TestEveryNumberInAShippedPolicyHasItsSourceBehindIt(t *testing.T) {
	for _, file := range shipped(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var root yaml.Node
		if err := yaml.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		numbers := 0
		eachPair(&root, func(key, value *yaml.Node) {
			if !holdsNumber(value) {
				return
			}
			numbers++
			if !sourceForm.MatchString(value.LineComment) {
				t.Errorf("%s:%d: %s has no source behind it", file, key.Line, key.Value)
			}
		})
		if numbers < 10 {
			t.Errorf("%s: only %d numbers were looked at", file, numbers)
		}
	}
}

func holdsNumber(node *yaml.Node) bool {
	if node.Kind == yaml.SequenceNode {
		return len(node.Content) > 0 && holdsNumber(node.Content[0])
	}
	_, err := ParseDuration(node.Value)
	return node.Kind == yaml.ScalarNode && (err == nil || node.ShortTag() == "!!int")
}

func eachPair(node *yaml.Node, visit func(key, value *yaml.Node)) {
	if node.Kind == yaml.MappingNode {
		for i := 0; i < len(node.Content); i += 2 {
			visit(node.Content[i], node.Content[i+1])
		}
	}
	for _, child := range node.Content {
		eachPair(child, visit)
	}
}
