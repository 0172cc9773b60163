package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Load reads a policy. It is refused, with Errors that name every line at fault,
// when something is not known or not written as it must be; else when something
// cannot work; else when something is weak and carries no accept-risk. name is
// only for messages. catalogue is what the channels say of themselves, by name.
func Load(name string, text []byte, catalogue map[string]recovery.ChannelInfo) (*Policy, error) {
	digest := sha256.Sum256(text)
	p := &Policy{
		name:      name,
		text:      bytes.Clone(text),
		digest:    hex.EncodeToString(digest[:]),
		catalogue: maps.Clone(catalogue),
	}
	r := &reader{file: name}
	r.read(text, p)
	p.lines = r.lines
	if len(r.problems) == 0 {
		v := &validation{reader: r, p: p}
		v.all()
	}
	if len(r.problems) == 0 {
		for _, weak := range p.Check() {
			if weak.Level == LevelWeak && weak.Accepted == "" {
				r.problem(weak.Line, weak.Path, "weak: %s; if it must stay, say why with accept-risk", weak.Message)
			}
		}
	}
	for i := range r.problems {
		r.problems[i].Path = p.shown(r.problems[i].Path)
	}
	if err := r.problems.asError(); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadFile reads a policy from a file; the file's base name is its name.
func LoadFile(path string, catalogue map[string]recovery.ChannelInfo) (*Policy, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return Load(filepath.Base(path), text, catalogue)
}

// shown writes a path with the names of ways instead of their numbers.
func (p *Policy) shown(path string) string {
	keys := strings.Split(path, ".")
	if len(keys) < 4 || keys[0] != "intents" || keys[2] != "ways" {
		return path
	}
	section := p.Intents[recovery.Intent(keys[1])]
	n, err := strconv.Atoi(keys[3])
	if section == nil || err != nil || n >= len(section.Ways) || !slugForm.MatchString(section.Ways[n].Name) {
		return path
	}
	keys[3] = section.Ways[n].Name
	return strings.Join(keys, ".")
}

// line gives the line where a path, or the nearest key above it, was written.
func (p *Policy) line(path string) int {
	for path != "" {
		if n, ok := p.lines[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return 1
}

// written tells whether the file itself has the key.
func (p *Policy) written(path string) bool {
	_, ok := p.lines[path]
	return ok
}

// defaultChannel gives the tunables of a channel that the file does not mention.
func defaultChannel() ChannelSection {
	var c ChannelSection
	fillDefault(reflect.ValueOf(&c).Elem(), "")
	return c
}
