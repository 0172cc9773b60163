package reseal

import (
	"context"
	"errors"

	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
)

// Left is how many values of one column stand under one version.
type Left struct {
	Part    string // of seal.Parts
	Version seal.Version
	Column  string // table.column
	Values  int64
	// Until says how a value that cannot be made anew goes; "" for one that can.
	Until string
}

// Count counts what stands under versions of the parts seal and index. It looks
// at every row.
func Count(ctx context.Context, d *store.DB, sealed, index []seal.Version) ([]Left, error) {
	var out []Left
	for _, part := range []struct {
		name     string
		columns  []store.SealedColumn
		versions []seal.Version
	}{{"seal", store.Sealed, sealed}, {"index", store.Indexed, index}} {
		if len(part.versions) == 0 {
			continue
		}
		for _, c := range part.columns {
			found, err := d.CountPrefixes(ctx, c)
			if err != nil {
				return nil, err
			}
			for _, v := range part.versions {
				if n := found[prefix(part.name, v)]; n > 0 {
					out = append(out, Left{Part: part.name, Version: v, Column: c.Name(), Values: n})
				}
			}
		}
	}
	return out, nil
}

// Lacking counts, by column, the values that stand under versions which the keys
// lack, and so cannot be read or found.
func Lacking(ctx context.Context, d *store.DB, keys *seal.Keyring) ([]Left, error) {
	var out []Left
	for _, part := range []struct {
		name    string
		columns []store.SealedColumn
	}{{"seal", store.Sealed}, {"index", store.Indexed}} {
		for _, c := range part.columns {
			left, err := d.CountPrefixes(ctx, c)
			if err != nil {
				return nil, err
			}
			for _, h := range keys.Versions() {
				if keys.Has(part.name, h.Version) {
					delete(left, prefix(part.name, h.Version))
				}
			}
			lacking := Left{Part: part.name, Column: c.Name()}
			for _, n := range left {
				lacking.Values += n
			}
			if lacking.Values > 0 {
				out = append(out, lacking)
			}
		}
	}
	return out, nil
}

// Current reports an error when the database was written with a version that the
// keys lack: an older copy of the key file, or a newer database. It looks at the
// accounts that came last only.
func Current(ctx context.Context, d *store.DB, keys *seal.Keyring) error {
	newest, err := d.NewestSealed(ctx)
	if err != nil {
		return err
	}
	for _, sealed := range newest {
		if !keys.Knows(sealed) {
			return errors.New("the key file lacks a version that this database was written with: put the newest copy of it in place")
		}
	}
	return nil
}

// CountHashes counts the rows that need versions of the part hash.
func CountHashes(ctx context.Context, d *store.DB, versions []seal.Version) ([]Left, error) {
	var out []Left
	for _, v := range versions {
		_, _, mac, pepper := v.Prefixes()
		for _, c := range store.Hashed {
			n, err := d.CountHashes(ctx, c, mac, pepper)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				out = append(out, Left{Part: "hash", Version: v, Column: c.Table + "." + c.Column, Values: n, Until: c.Until})
			}
		}
	}
	return out, nil
}
