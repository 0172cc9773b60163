package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"github.com/wanbi/wanbi/internal/seal"
)

type keysCommands struct {
	Init    keysInitCommand    `cmd:"" help:"Make a key file. One that is there is never replaced."`
	Show    keysShowCommand    `cmd:"" help:"Print the public parts of a key file."`
	Rotate  keysRotateCommand  `cmd:"" help:"Add a new version of the keys, which is not used yet."`
	Promote keysPromoteCommand `cmd:"" help:"Have the version that was added used for what is new."`
	Status  keysStatusCommand  `cmd:"" help:"Count what stands under each version of the keys."`
	Retire  keysRetireCommand  `cmd:"" help:"Take an older version out of the file, when nothing needs it."`
}

type keysInitCommand struct {
	File   string `arg:"" help:"The key file to make." placeholder:"FILE" type:"path"`
	Origin string `help:"Names the audit log for ever: host and path without a scheme, such as id.example.cn/wanbi." required:"" placeholder:"NAME"`
}

// Help is what --help says beside the flags.
func (keysInitCommand) Help() string {
	return `Makes the keys that seal what is personal, index it, hash codes and secrets, and sign the audit log and the calls to hosts. The file can be read by its owner only. Keep a copy in another place than the database: without it nothing can be read again, and whoever has both reads everything.

Example:

    wanbi keys init /etc/wanbi/keys.json --origin id.example.cn/wanbi`
}

// originForm is a name that a checkpoint can carry: a host and perhaps a path.
var originForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/[A-Za-z0-9._-]+)*$`)

func (c keysInitCommand) Run(s std) error {
	if !originForm.MatchString(c.Origin) {
		return fmt.Errorf("--origin %q: write host and path without a scheme, such as id.example.cn/wanbi", c.Origin)
	}
	text, err := seal.Generate(c.Origin)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not replaced: what it sealed could never be read again", c.File)
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("keys: %w", err), os.Remove(c.File))
	}
	s.printf("made %s; keep a copy of it in another place than the database\n\n", c.File)
	return keysShowCommand{File: c.File}.Run(s)
}

type keysShowCommand struct {
	File string `arg:"" help:"The key file." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (keysShowCommand) Help() string {
	return `Everything it prints may be published. Owners verify receipts with the log's key; hosts verify our calls with the hook key, which a call names by its ID (docs/events.md).

Example:

    wanbi keys show /etc/wanbi/keys.json`
}

func (c keysShowCommand) Run(s std) error {
	keys, err := seal.Load(c.File)
	if err != nil {
		return err
	}
	public, ok := keys.HookKey().Public().(ed25519.PublicKey)
	if !ok {
		return errors.New("the hook key is no Ed25519 key")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	s.printf("versions:         %s\n", versionWords(keys))
	s.printf("log verifier key: %s\n", keys.LogVerifier())
	s.printf("hook key ID:      %s\n", keys.HookKeyID())
	s.printf("hook public key (Ed25519):\n%s", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return nil
}
