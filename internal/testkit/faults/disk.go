package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// diskFull fills the disk that database, checkpoint and settings are on, and makes
// room again.
func diskFull(ctx context.Context, o Options, engine Engine) (r Result, err error) {
	disk := filepath.Join(o.Folder, "disk")
	if err := mount(disk, 64<<20); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, unmount(disk)) }()
	o.Folder = disk
	return o.on(ctx, engine, 1, func(ctx context.Context, w *World) error {
		draw := rand.New(rand.NewPCG(w.Seed, 3<<32))
		ballast := w.File("ballast")
		return w.again(ctx, draw, func() error {
			before := w.driver.replies()
			if err := fill(ballast); err != nil {
				return err
			}
			// The file of the log has room from before: it takes a while to be full, too.
			if err := w.until(ctx, "a request is refused", func(r Replies) bool { return r.Refused > before.Refused }); err != nil {
				return err
			}
			if err := pause(ctx, time.Duration(500+draw.IntN(2000))*time.Millisecond); err != nil {
				return err
			}
			w.Say("disk full %d of %d: %d requests were refused\n", w.broke, w.Faults, w.driver.replies().Refused-before.Refused)
			return os.Remove(ballast)
		})
	})
}

// fill writes until nothing fits any more.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(file, endless{}, make([]byte, 4096))
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

// endless is a source of zeros.
type endless struct{}

// Read never ends.
func (endless) Read(p []byte) (int, error) { return len(p), nil }
