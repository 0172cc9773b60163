package main

import (
	"fmt"
	"os"

	"github.com/wanbi/wanbi/internal/seal"
)

// keyFile is the key file of a command that takes long: nobody tells it of a
// rotation, and an account that moved to a version which it lacks would come twice.
type keyFile struct {
	path string
	was  os.FileInfo
}

func (c settings) keyFile(s std) (*keyFile, error) {
	read, err := c.load(s)
	if err != nil {
		return nil, err
	}
	was, err := os.Stat(read.Keys)
	return &keyFile{read.Keys, was}, err
}

// takeUp has keys be those of the file if it is another than when it was last
// looked at.
func (f *keyFile) takeUp(keys *seal.Keyring) error {
	now, err := os.Stat(f.path)
	if err == nil && os.SameFile(now, f.was) && now.ModTime().Equal(f.was.ModTime()) && now.Size() == f.was.Size() {
		return nil
	}
	var next *seal.Keyring
	if err == nil {
		next, err = seal.Load(f.path)
	}
	if err == nil {
		err = keys.Replace(next)
	}
	if err != nil {
		return fmt.Errorf("the key file changed and cannot be taken up: %w", err)
	}
	f.was = now
	return nil
}
