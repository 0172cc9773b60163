package main

import (
	"fmt"
	"io"
	"os"

	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/policy"
)

type policyCommands struct {
	Check   policyCheckCommand   `cmd:"" help:"Say whether policies load, and what is weak in them."`
	Explain policyExplainCommand `cmd:"" help:"Say what a policy decides about supposed facts, a line for each rule."`
	Schema  policySchemaCommand  `cmd:"" help:"Print the JSON Schema of policy files, for editors."`
}

type policyCheckCommand struct {
	Files []string `arg:"" optional:"" help:"Policy files, or shipped:NAME; left out, all that are shipped." placeholder:"FILE"`
}

// Help is what --help says beside the flags.
func (policyCheckCommand) Help() string {
	return `Refuses a policy that cannot work, with every line at fault, and one that is weak where nobody wrote accept-risk. Of the others it prints what was accepted and why, and what an operator may not expect.

Exit code 1: a policy was refused.

Example:

    wanbi policy check my-policy.yaml
    wanbi policy check shipped:yichuangtong shipped:hardened/yichuangtong`
}

func (c policyCheckCommand) Run(s std) error {
	files := c.Files
	if len(files) == 0 {
		files = config.Shipped()
	}
	refused := 0
	for _, file := range files {
		p, err := loadPolicy(file)
		switch err.(type) {
		case nil:
			printFindings(s, file, p)
		case found:
			refused++
			s.printf("%s: refused\n%s\n", file, err)
		default:
			return err
		}
	}
	if refused > 0 {
		return found{fmt.Errorf("%d of %d policies refused", refused, len(files))}
	}
	return nil
}

func printFindings(s std, file string, p *policy.Policy) {
	findings := p.Check()
	accepted := 0
	for _, f := range findings {
		if f.Level == policy.LevelWeak {
			accepted++
		}
	}
	s.printf("%s: realm %s, loads; weaknesses: %d, notes: %d\n", file, p.Realm.ID, accepted, len(findings)-accepted)
	for _, f := range findings {
		s.printf("  line %d, %s: %s: %s\n", f.Line, f.Path, f.Level, f.Message)
		if f.Accepted != "" {
			s.printf("    accepted: %s\n", f.Accepted)
		}
	}
}

type policyExplainCommand struct {
	Policy string `arg:"" help:"A policy file, or shipped:NAME." placeholder:"POLICY"`
	Facts  string `arg:"" help:"A file of supposed facts; - reads standard input." placeholder:"FACTS"`
}

// Help is what --help says beside the flags.
func (policyExplainCommand) Help() string {
	return `Facts are YAML: intent (reset-password, find-account or unlock), identifier (its kind), proven (a list of channels), known-device, contact-changed (how long ago), locks (a list; left out, the account is not known yet) and under-attack. Only intent is needed.

Example:

    echo 'intent: reset-password
    proven: [sms-code]
    contact-changed: 1d' | wanbi policy explain shipped:hardened/yichuangtong -`
}

func (c policyExplainCommand) Run(s std) error {
	p, err := loadPolicy(c.Policy)
	if err != nil {
		return err
	}
	const most = 64 << 10
	in := s.in
	if c.Facts != "-" {
		file, err := os.Open(c.Facts)
		if err != nil {
			return fmt.Errorf("facts: %w", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	facts, err := policy.ParseFacts(text)
	if err != nil {
		return err
	}
	for _, line := range policy.Explain(p, facts) {
		s.printf("%s\n", line)
	}
	return nil
}

type policySchemaCommand struct{}

// Help is what --help says beside the flags.
func (policySchemaCommand) Help() string {
	return `An editor with it completes the keys of a policy and says what each is for.

Example:

    wanbi policy schema > policy.schema.json`
}

func (policySchemaCommand) Run(s std) error {
	_, err := s.out.Write(policy.Schema())
	return err
}
