package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// A copy that is made while others write is one moment: no transaction is half in it.
func TestABackupWhileOthersWriteIsOneMoment(t *testing.T) {
	folder := t.TempDir()
	d, err := store.Open("sqlite:" + filepath.Join(folder, "wanbi.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var written int
	begun := make(chan struct{})
	writing.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			err := d.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
				for _, half := range []string{"a", "b"} {
					if err := tx.InsertJob(ctx, db.InsertJobParams{Key: half, ID: strconv.Itoa(n), Kind: half, Payload: []byte("x")}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			if written++; written == 5 {
				close(begun)
			}
		}
	})
	<-begun
	other, err := store.Open("sqlite:" + filepath.Join(folder, "wanbi.db")) // as `wanbi backup` has
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 5 {
		to := filepath.Join(folder, "copy"+strconv.Itoa(i))
		if err := other.Backup(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		if err := store.SoundCopy(t.Context(), to); err != nil {
			t.Error(err)
		}
		copied, err := store.Open("sqlite:" + to)
		if err != nil {
			t.Fatal(err)
		}
		var whole, first int
		if err := copied.Writer().QueryRow(`SELECT COUNT(*) FROM jobs`).Scan(&whole); err != nil {
			t.Fatal(err)
		}
		if err := copied.Writer().QueryRow(`SELECT COUNT(*) FROM jobs WHERE kind = 'a'`).Scan(&first); err != nil {
			t.Fatal(err)
		}
		if err := copied.Close(); err != nil {
			t.Fatal(err)
		}
		if whole < 10 || whole != 2*first {
			t.Errorf("%d rows, of which %d are first halves", whole, first)
		}
	}
	stop()
	writing.Wait()
	if err := other.Backup(t.Context(), filepath.Join(folder, "copy0")); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
}

func TestADamagedBackupIsNotPutBack(t *testing.T) {
	folder := t.TempDir()
	path, backup := filepath.Join(folder, "wanbi.db"), filepath.Join(folder, "copy.db")
	d, err := store.Open("sqlite:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Backup(t.Context(), backup), d.Close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) / 2; i < len(text)/2+8192; i++ {
		text[i] ^= 0xff
	}
	if err := os.WriteFile(backup, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Replace(t.Context(), path, backup, path+".before"); err == nil {
		t.Error("it was put back")
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the database was touched: %v", err)
	}
}
