package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"

	"github.com/wanbi/wanbi/internal/recovery"
)

// The bounds of a condition. Ours: a comparison costs about 2, a macro over the
// proven channels about 200.
const (
	maxConditionCost   = 1000
	maxConditionLength = 500 // characters
)

// neverChanged is what contact_changed says when no contact ever changed, or
// the account is not known yet: longer than any policy can ask for.
const neverChanged = 100 * 365 * day

// condition is a compiled `when`. Safe for concurrent use.
type condition struct{ program cel.Program }

var conditionEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("intent", cel.StringType),
		cel.Variable("identifier", cel.StringType),
		cel.Variable("proven", cel.ListType(cel.StringType)),
		cel.Variable("known_device", cel.BoolType),
		cel.Variable("contact_changed", cel.DurationType),
		cel.Variable("locks", cel.ListType(cel.StringType)),
		cel.Variable("under_attack", cel.BoolType),
		cel.ParserExpressionSizeLimit(maxConditionLength),
		cel.ParserRecursionLimit(32),
		cel.RegexProgramSizeLimit(100),
	)
})

// compile checks a condition's types and bounds its cost. The messages say what
// is wrong, one each; empty when nothing is.
func compile(text string) (*condition, []string) {
	env, err := conditionEnv()
	if err != nil {
		return nil, []string{err.Error()}
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		var messages []string
		for _, e := range issues.Errors() {
			message, _, _ := strings.Cut(e.Message, " expecting {")
			if column := e.Location.Column() + 1; column > 0 {
				message = fmt.Sprintf("column %d: %s", column, message)
			}
			messages = append(messages, message)
		}
		return nil, messages
	}
	if ast.OutputType() != cel.BoolType {
		return nil, []string{fmt.Sprintf("gives %s, and a condition is true or false", ast.OutputType())}
	}
	cost, err := env.EstimateCost(ast, factSizes{})
	if err != nil {
		return nil, []string{err.Error()}
	}
	if cost.Max > maxConditionCost {
		return nil, []string{fmt.Sprintf("may cost %d, and the most is %d", cost.Max, maxConditionCost)}
	}
	program, err := env.Program(ast, cel.CostLimit(maxConditionCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, []string{err.Error()}
	}
	return &condition{program: program}, nil
}

// holds evaluates the condition. An error means that it could not be said; the
// caller takes that for no.
func (c *condition) holds(f Facts) (bool, error) {
	out, _, err := c.program.Eval(map[string]any{
		"intent":          string(f.Intent),
		"identifier":      string(f.IdentifierKind),
		"proven":          provenChannels(f.Proven),
		"known_device":    f.KnownDevice,
		"contact_changed": sinceContactChanged(f),
		"locks":           words(f.Locks),
		"under_attack":    f.UnderAttack,
	})
	if err != nil {
		return false, err
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, errors.New("neither true nor false")
	}
	return yes, nil
}

// sinceContactChanged is never negative: a change in the future counts as just now.
func sinceContactChanged(f Facts) time.Duration {
	if f.ContactChangedAt.IsZero() {
		return neverChanged
	}
	return min(max(f.Now.Sub(f.ContactChangedAt), 0), neverChanged)
}

// provenChannels names each proven channel once, in the order of the evidence.
func provenChannels(proven []recovery.Evidence) []string {
	seen, names := map[string]bool{}, []string{}
	for _, e := range proven {
		if !seen[e.Channel] {
			seen[e.Channel] = true
			names = append(names, e.Channel)
		}
	}
	return names
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = string(item)
	}
	return out
}

// factSizes tells the cost estimate how large the facts can be.
type factSizes struct{}

// EstimateSize bounds the lists by 16 and each string by 40 characters, the
// longest channel name; no account has more proofs or locks than that.
func (factSizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	most := uint64(40)
	if len(path) == 1 && (path[0] == "proven" || path[0] == "locks") {
		most = 16
	}
	return &checker.SizeEstimate{Min: 0, Max: most}
}

// EstimateCallCost leaves the cost of calls to the library.
func (factSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
