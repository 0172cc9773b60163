package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/recovery"
)

type apiKeyCommands struct {
	Mint   apiKeyMintCommand   `cmd:"" help:"Make a key for a host system and print it, this once."`
	List   apiKeyListCommand   `cmd:"" help:"List a realm's keys, without their secrets."`
	Revoke apiKeyRevokeCommand `cmd:"" help:"End a key at once."`
}

type apiKeyMintCommand struct {
	inRealm
	Name  string   `help:"Whose key it is, for the list." required:"" placeholder:"NAME"`
	Scope []string `help:"What it may do; give it once for each, or with commas." required:"" placeholder:"SCOPE"`
}

// Help is what --help says beside the flags.
func (apiKeyMintCommand) Help() string {
	return `A key works in one realm and within its scopes. Give each host system a key of its own with the fewest scopes that do:

    accounts:read       read accounts, masked, their cases and receipts
    accounts:write      import accounts: changes where codes are sent
    backup-codes:write  make an account's backup codes anew
    locks:write         lock and unlock
    secrets:verify      ask whether a sign-in secret is right
    sign-ins:write      report sign-ins

The key is printed alone on standard output; only a keyed hash of it is stored.

Example:

    wanbi api-key mint --realm yichuangtong --name sign-in --scope secrets:verify`
}

func (c apiKeyMintCommand) Run(s std) error {
	var scopes []host.Scope
	for _, scope := range c.Scope {
		scopes = append(scopes, host.Scope(scope))
	}
	opened, err := c.open(s)
	if err != nil {
		return err
	}
	defer opened.Close()
	key, err := opened.Host.MintKey(s.ctx, recovery.Realm(c.Realm), c.Name, scopes)
	var e *recovery.Error
	if errors.As(err, &e) && e.Field == "scopes" {
		return fmt.Errorf("--scope %s: the scopes are %s", strings.Join(c.Scope, ","), scopeWords(host.Scopes))
	}
	if err != nil {
		return err
	}
	s.printf("%s\n", key)
	fmt.Fprintln(s.err, "keep it where secrets are kept: it is not shown again")
	return nil
}

// scopeWords joins scopes for a message.
func scopeWords(list []host.Scope) string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

type apiKeyListCommand struct{ inRealm }

// Help is what --help says beside the flags.
func (apiKeyListCommand) Help() string {
	return `Example:

    wanbi api-key list --realm yichuangtong`
}

func (c apiKeyListCommand) Run(s std) error {
	opened, err := c.open(s)
	if err != nil {
		return err
	}
	defer opened.Close()
	keys, err := opened.Host.ListKeys(s.ctx, recovery.Realm(c.Realm))
	for _, key := range keys {
		state := "works"
		if !key.RevokedAt.IsZero() {
			state = "revoked " + moment(key.RevokedAt)
		}
		s.printf("%s  %s  made %s  %s  %s\n", key.ID, key.Name, moment(key.CreatedAt), scopeWords(key.Scopes), state)
	}
	if err == nil && len(keys) == 0 {
		s.printf("no keys in realm %s\n", c.Realm)
	}
	return err
}

type apiKeyRevokeCommand struct {
	inRealm
	ID string `arg:"" help:"The key's ID, as the list shows it." placeholder:"ID"`
}

// Help is what --help says beside the flags.
func (apiKeyRevokeCommand) Help() string {
	return `From the next request on, the key is unknown. It stays in the list.

Example:

    wanbi api-key revoke --realm yichuangtong 019a9f31d0c47e5c8b1c9d1f9a3e6f02`
}

func (c apiKeyRevokeCommand) Run(s std) error {
	opened, err := c.open(s)
	if err != nil {
		return err
	}
	defer opened.Close()
	keys, err := opened.Host.ListKeys(s.ctx, recovery.Realm(c.Realm))
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.ID != c.ID {
			continue
		}
		if !key.RevokedAt.IsZero() {
			return fmt.Errorf("key %s was revoked already, %s", c.ID, moment(key.RevokedAt))
		}
		if err := opened.Host.RevokeKey(s.ctx, c.ID); err != nil {
			return err
		}
		s.printf("revoked %s (%s)\n", key.ID, key.Name)
		return nil
	}
	return fmt.Errorf("no key %q in realm %s: wanbi api-key list shows them", c.ID, c.Realm)
}
