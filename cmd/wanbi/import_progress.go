package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// progressFile remembers how far an import came, beside the file that is read.
// It is there only while an import runs or after one that was cut off.
type progressFile struct {
	path string // "" for none
	was  reached
}

// reached is its content: the last line that is in or was rejected, and of what.
type reached struct {
	Realm string `json:"realm"`
	Size  int64  `json:"size"` // of the file, in bytes
	Line  int    `json:"line"`
}

// progressOf prepares the memory of an import of an open file. With resume, the
// lines that an earlier run of the same file came to are known.
func progressOf(file *os.File, realm string, resume bool) (*progressFile, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	p := &progressFile{path: file.Name() + ".progress", was: reached{Realm: realm, Size: info.Size()}}
	if !resume {
		return p, nil
	}
	text, err := os.ReadFile(p.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s to go on from: leave --resume out; importing again changes nothing that is in", p.path)
	}
	if err != nil {
		return nil, err
	}
	var before reached
	if err := json.Unmarshal(text, &before); err != nil || before.Line < 1 {
		return nil, fmt.Errorf("%s cannot be read: leave --resume out", p.path)
	}
	if before.Realm != realm || before.Size != info.Size() {
		return nil, fmt.Errorf("%s is of another realm, or the file changed since: leave --resume out", p.path)
	}
	p.was = before
	return p, nil
}

// reached notes the last line that is done.
func (p *progressFile) reached(line int) error {
	if p.path == "" {
		return nil
	}
	p.was.Line = line
	text, err := json.Marshal(p.was)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".new", text, 0o600); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	return os.Rename(p.path+".new", p.path)
}

// done forgets: everything was read.
func (p *progressFile) done() error {
	if p.path == "" {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
