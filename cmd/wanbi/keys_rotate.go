package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/seal"
)

type keysRotateCommand struct {
	File    string `arg:"" help:"The key file." placeholder:"FILE" type:"path"`
	Promote bool   `help:"Have the new version used at once. Only where a single node serves."`
}

// Help is what --help says beside the flags.
func (keysRotateCommand) Help() string {
	return `Adds a new version of the keys that seal, index, hash and make IDs. It is not used yet: servers that take it up can read what others will write with it. Servers take a changed file up while they serve, at a SIGHUP (systemctl reload wanbi), and no request fails.

With one node, --promote does both steps at once. With several, copy the new file to every node and reload each; then wanbi keys promote, copy and reload again. A node that misses the first step could not read what the others write after the second.

The key of subjects and counters and the two that sign stay as they are. The older versions stay in the file until wanbi keys retire takes them out. Keep a copy of the new file in another place.

Example:

    wanbi keys rotate --promote /etc/wanbi/keys.json && systemctl reload wanbi`
}

func (c keysRotateCommand) Run(s std) error {
	var added seal.Version
	err := changeKeys(c.File, "", func(text []byte) (out []byte, err error) {
		if out, added, err = seal.Add(text); err == nil && c.Promote {
			out, _, err = seal.Promote(out, time.Now())
		}
		return out, err
	})
	if err != nil {
		return err
	}
	if c.Promote {
		s.printf("%s has version %s, used for what is new\nkeep a copy of the file in another place, and reload the server: systemctl reload wanbi\n", c.File, added)
		return nil
	}
	s.printf("%s has version %s, which is not used yet\ncopy the file to every node and reload each; when all have it: wanbi keys promote %s\n", c.File, added, c.File)
	return nil
}

type keysPromoteCommand struct {
	File string `arg:"" help:"The key file." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (keysPromoteCommand) Help() string {
	return `The second step of a rotation: the version that wanbi keys rotate added is used for what is new. Every node must have taken up the file with it before: the figure wanbi_key_version shows what each node has, and each logged "keys taken up". Then copy this file to every node, too, and reload each.

From the reload on, the server seals anew what stands under older versions, beside its other work; wanbi keys status shows how far it is.

Example:

    wanbi keys promote /etc/wanbi/keys.json`
}

func (c keysPromoteCommand) Run(s std) error {
	var promoted seal.Version
	err := changeKeys(c.File, "", func(text []byte) (out []byte, err error) {
		out, promoted, err = seal.Promote(text, time.Now())
		return out, err
	})
	if err != nil {
		return err
	}
	s.printf("%s uses version %s for what is new\nkeep a copy of the file in another place, copy it to every node, and reload each: systemctl reload wanbi\n", c.File, promoted)
	return nil
}

// changeKeys changes a key file in one step. The file as it was is kept beside
// it under the name kept; empty for not at all.
func changeKeys(path, kept string, change func(text []byte) ([]byte, error)) error {
	if _, err := seal.Load(path); err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if kept != "" {
		if err := os.Link(path, kept); errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already: move it to where you keep old keys first", kept)
		} else if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	if err := replaceKeys(path, append(after, '\n')); err != nil {
		if kept != "" {
			err = errors.Join(err, os.Remove(kept))
		}
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// replaceKeys writes a file in one step, for the owner of the one that is there.
func replaceKeys(path string, text []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }()
	_, err = part.Write(text)
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := sameOwner(path, part.Name()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// versionWords tells the versions of a keyring in one line.
func versionWords(keys *seal.Keyring) string {
	var words []string
	for _, h := range keys.Versions() {
		word := "old"
		switch {
		case len(h.Current) > 0:
			word = "used"
		case len(h.Waiting) > 0:
			word = "waits"
		}
		words = append(words, fmt.Sprintf("%s (%s)", h.Version, word))
	}
	return strings.Join(words, ", ")
}
