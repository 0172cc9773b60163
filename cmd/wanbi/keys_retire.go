package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/reseal"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
)

// linksLive is how long what was sent to people may still come back under the
// version that made it: links to stop or disavow a case, which live longest (30
// days), and tokens of cases. See docs/operations.md.
const linksLive = 30 * 24 * time.Hour

type keysStatusCommand struct{ settings }

// Help is what --help says beside the flags.
func (keysStatusCommand) Help() string {
	return `Counts, for each version in the key file, what still stands under it: how far the server is with sealing anew, and what keeps an older version from being retired. It looks at every row and changes nothing; it may run while the server does.

Exit code 1: something stands under a version that the file lacks.

Example:

    wanbi keys status --config /etc/wanbi/wanbi.yaml`
}

func (c keysStatusCommand) Run(s std) error {
	k, err := c.openKeys(s)
	if err != nil {
		return err
	}
	defer k.d.Close()
	for _, h := range k.keys.Versions() {
		s.printf("version %s  %s\n", h.Version, stateOf(h))
		if len(h.Waiting) > 0 {
			continue
		}
		needs, err := k.needs(s, h.Version, time.Now())
		if err != nil {
			return err
		}
		for _, n := range needs {
			s.printf("  %-5s  %s\n", n.part, n.why)
		}
		if len(needs) == 0 && len(h.Current) == 0 {
			s.printf("  nothing needs it: wanbi keys retire %s\n", h.Version)
		}
	}
	lacking, err := reseal.Lacking(s.ctx, k.d, k.keys)
	for _, l := range lacking {
		s.printf("versions that the file lacks\n  %-5s  %s: %d values cannot be read\n", l.Part, l.Column, l.Values)
	}
	if err == nil && len(lacking) > 0 {
		return found{errors.New("the key file lacks versions that this database needs: look for a newer copy, or one with what was retired")}
	}
	return err
}

// stateOf says what a version is used for.
func stateOf(h seal.Held) string {
	var words []string
	for _, of := range []struct {
		word  string
		parts []string
	}{{"used for what is new", h.Current}, {"only read with", h.Old}, {"not used yet", h.Waiting}} {
		if len(of.parts) > 0 {
			words = append(words, of.word+": "+strings.Join(of.parts, " "))
		}
	}
	if !h.Since.IsZero() {
		words = append(words, "since "+moment(h.Since))
	}
	return strings.Join(words, "; ")
}

// openedKeys are a key file and the database that it is for.
type openedKeys struct {
	path string
	keys *seal.Keyring
	d    *store.DB
}

func (c settings) openKeys(s std) (*openedKeys, error) {
	read, err := c.load(s)
	if err != nil {
		return nil, err
	}
	d, log, err := c.openLog(s)
	if err != nil {
		return nil, err
	}
	return &openedKeys{read.Keys, log.Keys, d}, nil
}

// need is why a version of a part cannot go.
type need struct {
	part   string
	why    string
	values int64 // that would be lost; 0 for what cannot be counted
}

// needs says what needs a version; for one that is in use, what stands under it.
func (k *openedKeys) needs(s std, v seal.Version, now time.Time) ([]need, error) {
	of := func(part string) []seal.Version {
		if k.keys.Has(part, v) {
			return []seal.Version{v}
		}
		return nil
	}
	left, err := reseal.Count(s.ctx, k.d, of("seal"), of("index"))
	if err != nil {
		return nil, err
	}
	hashes, err := reseal.CountHashes(s.ctx, k.d, of("hash"))
	if err != nil {
		return nil, err
	}
	var out []need
	for _, l := range append(left, hashes...) {
		why := fmt.Sprintf("%s: %d", l.Column, l.Values)
		if l.Until != "" {
			why += ", until " + l.Until
		}
		out = append(out, need{l.Part, why, l.Values})
	}
	for _, part := range []string{"hash", "ids"} {
		if !slices.Contains(k.keys.Older(part), v) {
			continue
		}
		if until, known := k.linksUntil(v); !known || now.Before(until) {
			why := "links, tokens and cookies that were sent out"
			if known {
				why += ", until " + moment(until)
			} else {
				why += ": the file does not say since when it is not used"
			}
			out = append(out, need{part, why, 0})
		}
	}
	return out, nil
}

// linksUntil is when the last link made under an older version is over: so long
// after the version that came next was put to use.
func (k *openedKeys) linksUntil(v seal.Version) (time.Time, bool) {
	found := false
	for _, h := range k.keys.Versions() {
		if found && !h.Since.IsZero() {
			return h.Since.Add(linksLive), true
		}
		found = found || h.Version == v
	}
	return time.Time{}, false
}

type keysRetireCommand struct {
	settings
	Version  uint32 `arg:"" help:"The version to take out, as wanbi keys status shows it." placeholder:"VERSION"`
	Force    bool   `help:"Take it out although something needs it."`
	LoseRows int64  `help:"With --force: how many rows that makes unreadable for ever, as a confirmation." default:"-1" placeholder:"N"`
}

// Help is what --help says beside the flags.
func (keysRetireCommand) Help() string {
	return `Takes an older version out of the key file, part by part, as far as nothing needs it. Sealed values and indexes are made anew by the server after a rotation. Hashes of passwords, backup codes and API keys cannot be: they go when their owners come. Links, tokens and cookies that were sent out need the version for 30 days after the next one was put to use.

Backups of the database from before need the version, too. The file as it was is kept as FILE.with-VERSION: move it to where you keep old keys, and destroy it with the last of those backups.

With --force everything goes. What still stands under the version can then never be read again.

Example:

    wanbi keys retire --config /etc/wanbi/wanbi.yaml 1 && systemctl reload wanbi`
}

func (c keysRetireCommand) Run(s std) error {
	k, err := c.openKeys(s)
	if err != nil {
		return err
	}
	defer k.d.Close()
	v := seal.Version(c.Version)
	parts := slices.DeleteFunc(slices.Clone(seal.Parts), func(part string) bool { return !k.keys.Has(part, v) })
	if len(parts) == 0 {
		return fmt.Errorf("there is no version %s in %s: it has %s", v, k.path, versionWords(k.keys))
	}
	needs, err := k.needs(s, v, time.Now())
	if err != nil {
		return err
	}
	var lost int64
	for _, n := range needs {
		s.printf("%-5s  %s\n", n.part, n.why)
		lost += n.values
	}
	if c.Force && c.LoseRows != lost {
		return fmt.Errorf("%d rows would be unreadable for ever: if you mean that, say --force --lose-rows %d", lost, lost)
	}
	if !c.Force {
		parts = slices.DeleteFunc(parts, func(part string) bool {
			return slices.ContainsFunc(needs, func(n need) bool { return n.part == part })
		})
		if len(parts) == 0 {
			return found{fmt.Errorf("version %s is needed and stays whole", v)}
		}
	}
	kept := k.path + ".with-" + v.String()
	if err := changeKeys(k.path, kept, func(text []byte) ([]byte, error) { return seal.Retire(text, v, parts) }); err != nil {
		return err
	}
	s.printf("version %s is out of %s: %s\nthe file as it was is %s: move it away\n", v, k.path, strings.Join(parts, " "), kept)
	if c.Force && lost > 0 {
		s.printf("restart every node: a reload refuses a file that lacks what is needed\n")
		return nil
	}
	s.printf("copy the file to every node and reload each: systemctl reload wanbi\n")
	return nil
}
