//go:build !linux

package faults

import "errors"

// needsRoot says why a disk cannot be filled here.
func needsRoot() string { return "only Linux has disks in memory" }

func mount(string, int) error { return errors.New(needsRoot()) }

func unmount(string) error { return nil }
