package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wanbi/wanbi/internal/seal"
)

type keysRotateCommand struct {
	File string `arg:"" help:"The key file." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (keysRotateCommand) Help() string {
	return `Adds a new version of the keys that seal, index, hash and make IDs. What is written from the next start on uses it; what was written before is still read with the older versions, which stay in the file. So a stolen old file still opens what was sealed before: nothing is sealed anew, except what changes. The key of subjects and counters and the two keys that sign stay as they are.

The file as it was is kept as FILE.bak; a second rotation wants that moved away first. Put the new file on every node, stop them all, then start them: a node with the old file cannot read what one with the new file writes. Keep a copy of the new file in another place.

Example:

    wanbi keys rotate /etc/wanbi/keys.json`
}

func (c keysRotateCommand) Run(s std) error {
	if _, err := seal.Load(c.File); err != nil {
		return err
	}
	before, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	after, err := seal.Rotate(before)
	if err != nil {
		return fmt.Errorf("key file %s: %w", c.File, err)
	}
	old := c.File + ".bak"
	if err := os.Link(c.File, old); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: move it to where you keep old keys first", old)
	} else if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := replaceKeys(c.File, append(after, '\n')); err != nil {
		return errors.Join(fmt.Errorf("keys: %w", err), os.Remove(old))
	}
	s.printf("%s has new keys; the file as it was is %s\nkeep a copy of the new file in another place, then restart the server\n", c.File, old)
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
